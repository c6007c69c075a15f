//! `cargo xtask image [--profile NAME] [OUT]`: the container image that registers xemu on a node, as an archive that podman, docker and containerd load.
//!
//! Written without a daemon: the same xemu gives the same bytes, on any machine. An OCI index (image-spec 1.1) names an image for arm64 and one for amd64,
//! each of one uncompressed layer that holds the static binary alone, and the bill of materials as BuildKit attaches it. The amd64 one is the same
//! program built for that: nodes of a mixed cluster pull one name, and there it says that there is nothing to do. `manifest.json` (Docker's image
//! specification 1.2) stands beside it for a `docker load` without containerd; it has the arm64 image only.
//!
//! Entry point: `xemu binfmt`, so that the options are those of tonistiigi/binfmt: `docker run --privileged --rm xemu --install amd64`.
//! Beside the archive lies `target/image`, the context of `deploy/Dockerfile`, and `target/xemu.spdx.json`.

mod sbom;

use crate::tree::Tree;
use crate::{Result, guided, project};
pub use sbom::document as bill_of_materials;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;

/// Name and tag that the image is loaded under.
const TAG: &str = "xemu:latest";
/// Where xemu lies in it.
const PATH: &str = "usr/bin/xemu";
/// All times in the image.
const CREATED: &str = "1970-01-01T00:00:00Z";
const OCI: &str = "application/vnd.oci.image";

/// xemu for one platform.
pub struct Platform<'a> {
    /// OCI's name of the architecture.
    pub architecture: &'a str,
    /// The static binary.
    pub xemu: &'a [u8],
}

/// Entry of the command.
pub fn main(mut args: Vec<OsString>) -> Result<ExitCode> {
    let mut profile = guided::PROFILE.to_string();
    if args.first().is_some_and(|a| a == "--profile") && args.len() > 1 {
        profile = args.drain(..2).next_back().unwrap_or_default().to_string_lossy().into_owned();
    }
    let out = args.first().map_or_else(|| project::target("xemu.oci.tar"), Into::into);
    let read = |path: &std::path::Path| fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
    let arm64 = read(&project::build_xemu(&profile)?)?;
    let amd64 = read(&project::build_native_xemu(&profile)?)?;
    let platforms = [Platform { architecture: "arm64", xemu: &arm64 }, Platform { architecture: "amd64", xemu: &amd64 }];
    let bill = sbom::document(&arm64)?;
    write_context(&platforms)?;
    let bill_path = project::target("xemu.spdx.json");
    fs::write(&bill_path, format!("{bill:#}\n")).map_err(|e| format!("{}: {e}", bill_path.display()))?;
    let (archive, digest) = archive(&platforms, Some(&bill));
    fs::write(&out, archive).map_err(|e| format!("{}: {e}", out.display()))?;
    println!("{}\n{digest}", out.display());
    Ok(ExitCode::SUCCESS)
}

/// The folder that deploy/Dockerfile copies from.
fn write_context(platforms: &[Platform]) -> Result<()> {
    for platform in platforms {
        let file = project::target("image/linux").join(platform.architecture).join("xemu");
        let failed = |e: std::io::Error| format!("{}: {e}", file.display());
        fs::create_dir_all(file.parent().expect("has a folder")).map_err(failed)?;
        fs::write(&file, platform.xemu).map_err(failed)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    }
    Ok(())
}

/// A file of the archive under its own hash.
struct Blob {
    kind: String,
    content: Vec<u8>,
}

impl Blob {
    fn new(kind: &str, content: impl Into<Vec<u8>>) -> Self {
        Self { kind: kind.into(), content: content.into() }
    }

    fn json(kind: &str, value: &Value) -> Self {
        Self::new(&format!("{OCI}.{kind}.v1+json"), value.to_string())
    }

    fn digest(&self) -> String {
        format!("sha256:{}", hash(&self.content))
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", hash(&self.content))
    }

    fn descriptor(&self) -> Value {
        json!({ "mediaType": self.kind, "digest": self.digest(), "size": self.content.len() })
    }
}

/// What tools show of the image.
fn labels() -> Value {
    json!({
        "org.opencontainers.image.title": "xemu",
        "org.opencontainers.image.description": "Runs amd64 programs and containers on ARM64 Linux; registers itself with the kernel's binfmt_misc",
        "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
        "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
    })
}

/// The image's archive, and its index's digest.
pub fn archive(platforms: &[Platform], bill: Option<&Value>) -> (Vec<u8>, String) {
    let (mut blobs, mut manifests, mut docker) = (Vec::new(), Vec::new(), Value::Null);
    for platform in platforms {
        let described = json!({ "architecture": platform.architecture, "os": "linux" });
        let mut layer = Tree::new("");
        layer.file(PATH, 0o755, platform.xemu);
        let layer = Blob::new(&format!("{OCI}.layer.v1.tar"), layer.finish());
        let config = Blob::json("config", &config(platform.architecture, &layer));
        let manifest = Blob::json("manifest", &manifest(&config, &layer, &labels()));
        if docker.is_null() {
            docker = json!([{ "Config": config.path(), "Layers": [layer.path()], "RepoTags": [TAG] }]);
        }
        let mut entry = manifest.descriptor();
        entry["platform"] = described;
        let attested = entry.clone();
        manifests.push(entry);
        blobs.extend([layer, config, manifest]);
        if let (Some(bill), "arm64") = (bill, platform.architecture) {
            manifests.push(attestation(bill, &attested, &mut blobs));
        }
    }
    let index = Blob::json("index", &json!({ "schemaVersion": 2, "mediaType": format!("{OCI}.index.v1+json"), "manifests": manifests, "annotations": labels() }));
    let (named, digest) = (index.descriptor(), index.digest());
    blobs.push(index);
    (packed(TAG, named, &docker, &blobs), digest)
}

/// An archive of an image with this name and nothing but this layer: somebody else's, for tests.
pub fn of_layer(name: &str, architecture: &str, layer: Vec<u8>) -> Vec<u8> {
    let layer = Blob::new(&format!("{OCI}.layer.v1.tar"), layer);
    let described = json!({
        "architecture": architecture, "os": "linux", "config": { "Cmd": ["/bin/sh"] }, "rootfs": { "type": "layers", "diff_ids": [layer.digest()] },
    });
    let config = Blob::json("config", &described);
    let manifest = Blob::json("manifest", &manifest(&config, &layer, &json!({})));
    let docker = json!([{ "Config": config.path(), "Layers": [layer.path()], "RepoTags": [name] }]);
    let mut named = manifest.descriptor();
    named["platform"] = json!({ "architecture": architecture, "os": "linux" });
    packed(name, named, &docker, &[layer, config, manifest])
}

/// The archive of blobs, of which `named` is what the name stands for.
fn packed(name: &str, mut named: Value, docker: &Value, blobs: &[Blob]) -> Vec<u8> {
    // Two names: podman and skopeo read the first, containerd the second.
    named["annotations"] = json!({ "io.containerd.image.name": format!("localhost/{name}"), "org.opencontainers.image.ref.name": name });
    let layout = json!({ "schemaVersion": 2, "mediaType": format!("{OCI}.index.v1+json"), "manifests": [named] });
    let mut tar = Tree::new("");
    tar.file("oci-layout", 0o644, b"{\"imageLayoutVersion\":\"1.0.0\"}");
    tar.file("index.json", 0o644, layout.to_string().as_bytes());
    tar.file("manifest.json", 0o644, docker.to_string().as_bytes());
    blobs.iter().for_each(|b| tar.file(&b.path(), 0o644, &b.content));
    tar.finish()
}

fn config(architecture: &str, layer: &Blob) -> Value {
    json!({
        "architecture": architecture,
        "os": "linux",
        "created": CREATED,
        "config": { "Entrypoint": [format!("/{PATH}"), "binfmt"], "WorkingDir": "/", "Labels": labels() },
        "history": [{ "created": CREATED, "created_by": "cargo xtask image" }],
        "rootfs": { "type": "layers", "diff_ids": [layer.digest()] },
    })
}

fn manifest(config: &Blob, layer: &Blob, annotations: &Value) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": format!("{OCI}.manifest.v1+json"),
        "config": config.descriptor(),
        "layers": [layer.descriptor()],
        "annotations": annotations,
    })
}

/// The bill of materials as BuildKit attaches it to an image: an in-toto statement in a manifest for no platform
/// (docs/attestations/attestation-storage.md of BuildKit).
fn attestation(bill: &Value, image: &Value, blobs: &mut Vec<Blob>) -> Value {
    const SPDX: &str = "https://spdx.dev/Document";
    let digest = image["digest"].as_str().unwrap_or_default();
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": SPDX,
        "subject": [{ "name": "xemu", "digest": { "sha256": digest.trim_start_matches("sha256:") } }],
        "predicate": bill,
    });
    let layer = Blob::new("application/vnd.in-toto+json", statement.to_string());
    let config = Blob::json("config", &json!({
        "architecture": "unknown", "os": "unknown", "config": {}, "rootfs": { "type": "layers", "diff_ids": [layer.digest()] },
    }));
    let mut content = manifest(&config, &layer, &json!({}));
    content["layers"][0]["annotations"] = json!({ "in-toto.io/predicate-type": SPDX });
    let manifest = Blob::json("manifest", &content);
    let mut entry = manifest.descriptor();
    entry["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
    entry["annotations"] = json!({ "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest });
    blobs.extend([layer, config, manifest]);
    entry
}

/// SHA-256 in hexadecimal.
pub fn hash(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::io::Read;

    fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(archive).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.insert(entry.path().unwrap().to_string_lossy().into_owned(), content);
        }
        files
    }

    fn both() -> (Vec<u8>, String) {
        let platforms = [Platform { architecture: "arm64", xemu: b"\x7fELF arm64" }, Platform { architecture: "amd64", xemu: b"\x7fELF amd64" }];
        archive(&platforms, Some(&json!({ "SPDXID": "SPDXRef-DOCUMENT" })))
    }

    #[test]
    fn an_image_is_reproducible_and_whole() {
        let (bytes, digest) = both();
        assert_eq!((bytes.clone(), digest.clone()), both());
        assert_ne!(digest, archive(&[Platform { architecture: "arm64", xemu: b"other" }], None).1);
        let files = files(&bytes);
        let read = |descriptor: &Value| -> &Vec<u8> {
            let name = descriptor["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
            let content = &files[&name];
            assert_eq!((descriptor["size"].as_u64(), name.ends_with(&hash(content))), (Some(content.len() as u64), true));
            content
        };
        let parse = |bytes: &[u8]| -> Value { serde_json::from_slice(bytes).unwrap() };
        let layout = parse(&files["index.json"]);
        assert_eq!(layout["manifests"][0]["digest"], digest);
        let index = parse(read(&layout["manifests"][0]));
        let platforms: Vec<_> = index["manifests"].as_array().unwrap().iter().map(|m| m["platform"]["architecture"].as_str().unwrap()).collect();
        assert_eq!(platforms, ["arm64", "unknown", "amd64"]);
        for entry in index["manifests"].as_array().unwrap() {
            let manifest = parse(read(entry));
            let config = parse(read(&manifest["config"]));
            let layer = read(&manifest["layers"][0]);
            assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", hash(layer)));
            if entry["platform"]["architecture"] == "unknown" {
                assert_eq!(parse(layer)["predicate"]["SPDXID"], "SPDXRef-DOCUMENT");
                assert_eq!(entry["annotations"]["vnd.docker.reference.digest"], index["manifests"][0]["digest"]);
            } else {
                assert_eq!(self::files(layer).keys().collect::<Vec<_>>(), ["usr/", "usr/bin/", PATH]);
                assert_eq!(config["config"]["Entrypoint"], json!(["/usr/bin/xemu", "binfmt"]));
            }
        }
        // For a docker without containerd: the arm64 image.
        let docker = parse(&files["manifest.json"]);
        let layer = self::files(&files[docker[0]["Layers"][0].as_str().unwrap()]);
        assert_eq!(layer[PATH], b"\x7fELF arm64");
    }
}
