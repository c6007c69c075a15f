//! `cargo xtask image [--profile NAME] [OUT]`: the container image that registers xemu on a node, as an archive that podman, docker and containerd load.
//!
//! Written by hand, without a daemon: the same xemu gives the same bytes, on any machine. An OCI index with one image of one layer, uncompressed,
//! beside a `manifest.json` for `docker load` (image-spec 1.1; Docker's image specification 1.2). Entry point: `xemu binfmt`, so that the options are
//! those of tonistiigi/binfmt: `docker run --privileged --rm xemu --install amd64`.

use crate::{Result, project};
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;

/// Name and tag that the image is loaded under.
const TAG: &str = "xemu:latest";
/// Where xemu lies in it.
const PATH: &str = "usr/bin/xemu";
/// All times in the image.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// Entry of the command.
pub fn main(mut args: Vec<OsString>) -> Result<ExitCode> {
    let mut profile = "release".to_string();
    if args.first().is_some_and(|a| a == "--profile") && args.len() > 1 {
        profile = args.drain(..2).next_back().unwrap_or_default().to_string_lossy().into_owned();
    }
    let out = args.first().map_or_else(|| project::target("xemu-arm64.oci.tar"), Into::into);
    let xemu = project::build_xemu(&profile)?;
    let binary = fs::read(&xemu).map_err(|e| format!("{}: {e}", xemu.display()))?;
    let (archive, digest) = archive(&binary);
    fs::write(&out, archive).map_err(|e| format!("{}: {e}", out.display()))?;
    println!("{}\n{digest}", out.display());
    Ok(ExitCode::SUCCESS)
}

/// The image's archive, and its manifest's digest.
pub fn archive(xemu: &[u8]) -> (Vec<u8>, String) {
    let mut layer = Tar::default();
    for folder in ["usr", "usr/bin"] {
        layer.folder(folder);
    }
    layer.file(PATH, 0o755, xemu);
    let layer = layer.finish();
    let config = format!(
        "{{\"architecture\":\"arm64\",\"config\":{{\"Entrypoint\":[\"/{PATH}\",\"binfmt\"],\"WorkingDir\":\"/\"}},\"created\":\"{CREATED}\",\
         \"history\":[{{\"created\":\"{CREATED}\",\"created_by\":\"cargo xtask image\"}}],\"os\":\"linux\",\
         \"rootfs\":{{\"diff_ids\":[\"{}\"],\"type\":\"layers\"}}}}",
        digest(&layer)
    );
    const OCI: &str = "application/vnd.oci.image";
    let manifest = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{OCI}.manifest.v1+json\",\"config\":{},\"layers\":[{}]}}",
        descriptor(&format!("{OCI}.config.v1+json"), config.as_bytes(), ""),
        descriptor(&format!("{OCI}.layer.v1.tar"), &layer, "")
    );
    // Two names: podman and skopeo read the first, containerd the second.
    let names = format!(
        ",\"annotations\":{{\"io.containerd.image.name\":\"localhost/{TAG}\",\"org.opencontainers.image.ref.name\":\"{TAG}\"}},\
         \"platform\":{{\"architecture\":\"arm64\",\"os\":\"linux\"}}"
    );
    let index = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{OCI}.index.v1+json\",\"manifests\":[{}]}}",
        descriptor(&format!("{OCI}.manifest.v1+json"), manifest.as_bytes(), &names)
    );
    let docker = format!("[{{\"Config\":\"{}\",\"Layers\":[\"{}\"],\"RepoTags\":[\"{TAG}\"]}}]", blob(config.as_bytes()), blob(&layer));
    let mut tar = Tar::default();
    tar.file("oci-layout", 0o644, b"{\"imageLayoutVersion\":\"1.0.0\"}");
    tar.file("index.json", 0o644, index.as_bytes());
    tar.file("manifest.json", 0o644, docker.as_bytes());
    tar.folder("blobs");
    tar.folder("blobs/sha256");
    for content in [config.as_bytes(), &layer, manifest.as_bytes()] {
        tar.file(&blob(content), 0o644, content);
    }
    (tar.finish(), digest(manifest.as_bytes()))
}

fn hash(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|b| format!("{b:02x}")).collect()
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hash(content))
}

fn blob(content: &[u8]) -> String {
    format!("blobs/sha256/{}", hash(content))
}

fn descriptor(kind: &str, content: &[u8], more: &str) -> String {
    format!("{{\"mediaType\":\"{kind}\",\"digest\":\"{}\",\"size\":{}{more}}}", digest(content), content.len())
}

/// A tar archive (ustar) in the making: of root, from 1970, so that nothing of this machine is in it.
#[derive(Default)]
struct Tar(Vec<u8>);

const BLOCK: usize = 512;

impl Tar {
    fn folder(&mut self, name: &str) {
        self.entry(&format!("{name}/"), 0o755, b'5', &[]);
    }

    fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entry(name, mode, b'0', content);
    }

    fn entry(&mut self, name: &str, mode: u32, kind: u8, content: &[u8]) {
        let mut header = [0u8; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        assert!(name.len() < 100, "names of ustar's short form");
        put(0, name.as_bytes());
        for (at, value, digits) in [(100, mode as usize, 7), (108, 0, 7), (116, 0, 7), (124, content.len(), 11), (136, 0, 11)] {
            put(at, format!("{value:0digits$o}").as_bytes());
        }
        put(156, &[kind]);
        put(257, b"ustar\0");
        put(263, b"00");
        // The checksum counts itself as blanks.
        put(148, b"        ");
        let sum: usize = header.iter().map(|b| usize::from(*b)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend(header);
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * BLOCK, 0);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn an_image_is_reproducible_and_whole() {
        let (first, digest_of_first) = archive(b"\x7fELF");
        assert_eq!((first.clone(), digest_of_first.clone()), archive(b"\x7fELF"));
        assert_ne!(digest_of_first, archive(b"other").1);
        // What it names is in it, under its own hash, for any reader of tar archives.
        let dir = std::env::temp_dir().join(format!("xemu-image-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("image.tar"), first).unwrap();
        let tar =
            |args: &[&str], cwd: &std::path::Path| assert!(Command::new("tar").args(args).current_dir(cwd).status().unwrap().success());
        tar(&["-xf", "image.tar"], &dir);
        let index = fs::read_to_string(dir.join("index.json")).unwrap();
        assert!(index.contains(&digest_of_first));
        let blobs: Vec<_> = fs::read_dir(dir.join("blobs/sha256")).unwrap().flatten().collect();
        assert_eq!(blobs.len(), 3);
        for entry in &blobs {
            assert_eq!(hash(&fs::read(entry.path()).unwrap()), entry.file_name().to_string_lossy());
        }
        let docker = fs::read_to_string(dir.join("manifest.json")).unwrap();
        let layer = docker.split("\"Layers\":[\"").nth(1).unwrap().split('"').next().unwrap();
        tar(&["-xf", layer], &dir);
        assert_eq!(fs::read(dir.join(PATH)).unwrap(), b"\x7fELF");
        let _ = fs::remove_dir_all(dir);
    }
}
