//! Tests of the folder deploy/kubernetes: every manifest against Kubernetes' published API, strictly (what the API does not know is an error),
//! and what the parts must have in common.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Namespace, PodSpec, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    crate::project::root().join("deploy/kubernetes")
}

/// The documents of a file.
fn documents(path: &Path) -> Vec<Value> {
    use serde::Deserialize;
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_yaml_ng::Deserializer::from_str(&text).map(|d| Value::deserialize(d).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).collect()
}

/// Reads a document as a kind of the API. Nothing may be left over: what is written must come back.
fn strict<T: serde::de::DeserializeOwned + serde::Serialize>(document: &Value) -> Result<T, String> {
    let typed: T = serde_json::from_value(document.clone()).map_err(|e| e.to_string())?;
    let back = serde_json::to_value(&typed).map_err(|e| e.to_string())?;
    match lost(document, &back, "") {
        Some(what) => Err(format!("{what} is nothing that the API knows")),
        None => Ok(typed),
    }
}

/// The first part of `written` that is not in `back`.
fn lost(written: &Value, back: &Value, at: &str) -> Option<String> {
    match (written, back) {
        (Value::Object(w), Value::Object(b)) => {
            w.iter().find_map(|(key, value)| b.get(key).map_or(Some(format!("{at}.{key}")), |b| lost(value, b, &format!("{at}.{key}"))))
        }
        (Value::Array(w), Value::Array(b)) if w.len() == b.len() => {
            w.iter().zip(b).enumerate().find_map(|(i, (w, b))| lost(w, b, &format!("{at}[{i}]")))
        }
        _ => (written != back).then(|| at.to_string()),
    }
}

fn check(document: &Value) -> Result<(), String> {
    match document["kind"].as_str().unwrap_or_default() {
        "DaemonSet" => strict::<DaemonSet>(document).map(drop),
        "ConfigMap" => strict::<ConfigMap>(document).map(drop),
        "Namespace" => strict::<Namespace>(document).map(drop),
        "ServiceAccount" => strict::<ServiceAccount>(document).map(drop),
        "ClusterRole" => strict::<ClusterRole>(document).map(drop),
        "ClusterRoleBinding" => strict::<ClusterRoleBinding>(document).map(drop),
        other => Err(format!("kind {other:?} is not checked")),
    }
}

/// All manifests: path and document.
fn manifests() -> Vec<(PathBuf, Value)> {
    let mut found = Vec::new();
    for part in fs::read_dir(folder()).unwrap().flatten().filter(|e| e.path().is_dir()) {
        for file in fs::read_dir(part.path()).unwrap().flatten().map(|e| e.path()).filter(|p| p.file_name().unwrap() != "kustomization.yaml") {
            found.extend(documents(&file).into_iter().map(|d| (file.clone(), d)));
        }
    }
    found
}

fn pod(part: &str) -> PodSpec {
    let document = documents(&folder().join(part).join("daemonset.yaml")).remove(0);
    strict::<DaemonSet>(&document).unwrap().spec.unwrap().template.spec.unwrap()
}

#[test]
fn manifests_are_valid_strictly() {
    let manifests = manifests();
    assert!(manifests.len() >= 8);
    for (path, document) in &manifests {
        check(document).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
}

#[test]
fn mistakes_are_found() {
    let good = documents(&folder().join("base/daemonset.yaml")).remove(0);
    let wrong = |change: &dyn Fn(&mut Value)| {
        let mut document = good.clone();
        change(&mut document);
        check(&document).unwrap_err()
    };
    assert!(wrong(&|d| d["spec"]["template"]["spec"]["nodeSelecter"] = "x".into()).contains("nodeSelecter"));
    assert!(wrong(&|d| d["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] = "many".into()).contains("invalid type"));
    assert!(wrong(&|d| d["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["httpGet"]["prot"] = 1.into()).contains("prot"));
}

#[test]
fn kustomizations_name_files_that_are_there() {
    for part in ["base", "node-label", "uninstall"] {
        let dir = folder().join(part);
        let document = documents(&dir.join("kustomization.yaml")).remove(0);
        let patches = document["patches"].as_array().into_iter().flatten().map(|p| &p["path"]);
        let named: Vec<&str> = document["resources"].as_array().unwrap().iter().chain(patches).filter_map(Value::as_str).collect();
        for name in &named {
            assert!(dir.join(name).exists(), "{part}: {name}");
        }
        for file in fs::read_dir(&dir).unwrap().flatten().map(|e| e.file_name().to_string_lossy().into_owned()).filter(|f| f != "kustomization.yaml") {
            assert!(named.contains(&file.as_str()), "{part}: {file} is in no kustomization");
        }
    }
}

#[test]
fn containers_have_no_more_privilege_than_they_need() {
    let spare = |c: &Container| {
        let s = c.security_context.clone().unwrap_or_else(|| panic!("{}: no securityContext", c.name));
        let capabilities = s.capabilities.unwrap();
        assert_eq!(capabilities.drop, Some(vec!["ALL".into()]), "{}", c.name);
        assert_eq!((s.privileged, s.read_only_root_filesystem), (None, Some(true)), "{}", c.name);
        capabilities.add.unwrap_or_default()
    };
    for part in ["base", "node-label", "uninstall"] {
        let pod = pod(part);
        assert!(pod.volumes.iter().flatten().all(|v| v.host_path.is_none()), "{part}: nothing of the host is mounted");
        assert_eq!((pod.host_network, pod.host_pid), (None, None));
        for container in pod.init_containers.iter().flatten().chain(&pod.containers) {
            // (In a patch the container that the base describes has only its name.)
            if container.image.is_none() {
                continue;
            }
            let registers = ["install", "uninstall"].contains(&container.name.as_str());
            assert_eq!(spare(container), if registers { vec!["SYS_ADMIN".to_string()] } else { vec![] }, "{part}: {}", container.name);
        }
    }
}

#[test]
fn the_daemonset_runs_where_amd64_programs_are_wanted() {
    for part in ["base", "uninstall"] {
        let document = documents(&folder().join(part).join("daemonset.yaml")).remove(0);
        let (spec, name) = (&document["spec"], "app.kubernetes.io/name");
        assert_eq!(spec["selector"]["matchLabels"][name], spec["template"]["metadata"]["labels"][name]);
        let pod = pod(part);
        assert_eq!(pod.node_selector.unwrap()["kubernetes.io/arch"], "arm64");
        assert_eq!(pod.tolerations.unwrap()[0].operator.as_deref(), Some("Exists"));
    }
}
