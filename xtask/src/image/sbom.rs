//! What xemu is made of, as an SPDX 2.3 document: the crates that are linked into it, with versions, licences and checksums, out of Cargo's own
//! files. The same sources give the same document.

use super::hash;
use crate::{Result, project};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// The document for a xemu with this content. The document's name in the world is made of its digest.
pub fn document(binary: &[u8]) -> Result<Value> {
    let metadata = metadata()?;
    let checksums = checksums(&fs::read_to_string(project::root().join("Cargo.lock")).map_err(|e| format!("Cargo.lock: {e}"))?);
    let linked = linked(&metadata)?;
    let digest = hash(binary);
    let mut packages = Vec::new();
    let mut relations = Vec::new();
    for id in &linked {
        let package = array(&metadata["packages"]).iter().find(|p| p["id"] == id.as_str()).ok_or(format!("{id}: not in cargo's metadata"))?;
        let (name, version) = (text(&package["name"]), text(&package["version"]));
        let own = name == "xemu";
        let mut described = json!({
            "SPDXID": spdx_id(name, version),
            "name": name,
            "versionInfo": version,
            "licenseDeclared": package["license"].as_str().map_or("NOASSERTION".into(), |l| l.replace('/', " OR ")),
            "licenseConcluded": "NOASSERTION",
            "copyrightText": "NOASSERTION",
            "filesAnalyzed": false,
            "downloadLocation": if own { "NOASSERTION".to_string() } else { format!("https://crates.io/crates/{name}/{version}") },
            "externalRefs": [{ "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": format!("pkg:cargo/{name}@{version}") }],
        });
        let checksum = if own { Some(digest.as_str()) } else { checksums.get(&(name.to_string(), version.to_string())).map(String::as_str) };
        if let Some(value) = checksum {
            described["checksums"] = json!([{ "algorithm": "SHA256", "checksumValue": value }]);
        }
        packages.push(described);
        relations.push(match own {
            true => json!({ "spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": spdx_id(name, version) }),
            false => json!({
                "spdxElementId": spdx_id("xemu", env!("CARGO_PKG_VERSION")), "relationshipType": "STATIC_LINK", "relatedSpdxElement": spdx_id(name, version)
            }),
        });
    }
    Ok(json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("xemu-{}", env!("CARGO_PKG_VERSION")),
        "documentNamespace": format!("https://spdx.org/spdxdocs/xemu-{}-{digest}", env!("CARGO_PKG_VERSION")),
        "creationInfo": { "created": super::CREATED, "creators": ["Tool: cargo-xtask-image"] },
        "packages": packages,
        "relationships": relations,
    }))
}

fn metadata() -> Result<Value> {
    let mut cargo = project::cargo();
    cargo.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", project::TARGET]);
    let output = cargo.output().map_err(|e| format!("cargo: {e}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata: {e}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn spdx_id(name: &str, version: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    format!("SPDXRef-{}", format!("{name}-{version}").chars().map(plain).collect::<String>())
}

/// Ids of xemu and of what it is linked with: neither for tests nor for build scripts, nor macros' crates.
fn linked(metadata: &Value) -> Result<BTreeSet<String>> {
    let nodes = array(&metadata["resolve"]["nodes"]);
    let is_macro = |id: &str| {
        let package = array(&metadata["packages"]).iter().find(|p| p["id"] == id);
        package.is_some_and(|p| array(&p["targets"]).iter().any(|t| array(&t["kind"]).contains(&"proc-macro".into())))
    };
    let own = array(&metadata["packages"]).iter().find(|p| p["name"] == "xemu" && p["source"].is_null()).ok_or("no package xemu")?;
    let (mut found, mut pending) = (BTreeSet::new(), vec![text(&own["id"]).to_string()]);
    while let Some(id) = pending.pop() {
        if !found.insert(id.clone()) {
            continue;
        }
        let node = nodes.iter().find(|n| n["id"] == id.as_str()).ok_or(format!("{id}: not resolved"))?;
        for dependency in array(&node["deps"]) {
            let used = array(&dependency["dep_kinds"]).iter().any(|k| k["kind"].is_null());
            let id = text(&dependency["pkg"]);
            if used && !is_macro(id) {
                pending.push(id.into());
            }
        }
    }
    Ok(found)
}

/// SHA-256 of each package's archive, by name and version, out of Cargo.lock.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'));
        line.unwrap_or_default().to_string()
    };
    let blocks = lock.split("[[package]]").skip(1);
    blocks.map(|b| ((value(b, "name"), value(b, "version")), value(b, "checksum"))).filter(|(_, sum)| !sum.is_empty()).collect()
}

#[test]
fn the_document_names_what_is_linked() {
    let document = document(b"xemu").unwrap();
    let names: Vec<&str> = array(&document["packages"]).iter().map(|p| text(&p["name"])).collect();
    for linked in ["xemu", "iced-x86", "serde_json", "libc"] {
        assert!(names.contains(&linked), "{linked} is missing");
    }
    for other in ["criterion", "cc", "dynasm", "xtask"] {
        assert!(!names.contains(&other), "{other} is not linked");
    }
    let third_party = array(&document["packages"]).iter().filter(|p| p["name"] != "xemu");
    assert!(third_party.into_iter().all(|p| p["checksums"][0]["checksumValue"].is_string() && p["licenseDeclared"] != "NOASSERTION"));
    assert_eq!(document, self::document(b"xemu").unwrap());
    assert_ne!(document["documentNamespace"], self::document(b"other").unwrap()["documentNamespace"]);
}
