//! `cargo xtask deb [--profile NAME] [OUT]`: the Debian package for arm64: xemu, its registration at boot (binfmt.d), a systemd unit and the list of
//! what it is made of. Written without dpkg-deb, the same bytes each time (deb(5)).

use crate::tree::{Tree, gzipped};
use crate::{Result, guided, image, project};
use md5::{Digest, Md5};
use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What is in it beside xemu itself: path and content.
const FILES: &[(&str, &str)] = &[
    ("usr/lib/binfmt.d/xemu-x86_64.conf", include_str!("../../deploy/binfmt.d/xemu-x86_64.conf")),
    ("usr/lib/systemd/system/xemu-binfmt.service", include_str!("../../deploy/systemd/xemu-binfmt.service")),
    ("usr/share/doc/xemu/copyright", include_str!("../../deploy/debian/copyright")),
];
/// Scripts that dpkg runs.
const SCRIPTS: &[(&str, &str)] =
    &[("postinst", include_str!("../../deploy/debian/postinst")), ("prerm", include_str!("../../deploy/debian/prerm"))];

/// Entry of the command.
pub fn main(mut args: Vec<OsString>) -> Result<ExitCode> {
    let mut profile = guided::PROFILE.to_string();
    if args.first().is_some_and(|a| a == "--profile") && args.len() > 1 {
        profile = args.drain(..2).next_back().unwrap_or_default().to_string_lossy().into_owned();
    }
    let out = args.first().map_or_else(|| project::target(&format!("xemu_{VERSION}_arm64.deb")), Into::into);
    let xemu = project::build_xemu(&profile)?;
    let binary = fs::read(&xemu).map_err(|e| format!("{}: {e}", xemu.display()))?;
    let bill = format!("{:#}\n", image::bill_of_materials(&binary)?);
    fs::write(&out, package(&binary, &bill)).map_err(|e| format!("{}: {e}", out.display()))?;
    println!("{}", out.display());
    Ok(ExitCode::SUCCESS)
}

/// The package.
pub fn package(xemu: &[u8], bill: &str) -> Vec<u8> {
    let mut files: Vec<(&str, u32, Vec<u8>)> = vec![("usr/bin/xemu", 0o755, xemu.to_vec())];
    files.extend(FILES.iter().map(|(path, text)| (*path, 0o644, text.as_bytes().to_vec())));
    files.push(("usr/share/doc/xemu/changelog.gz", 0o644, gzipped(changelog().as_bytes())));
    files.push(("usr/share/doc/xemu/xemu.spdx.json.gz", 0o644, gzipped(bill.as_bytes())));
    let (mut data, mut control) = (Tree::new("./"), Tree::new("./"));
    let mut sums = String::new();
    for (path, mode, content) in &files {
        data.file(path, *mode, content);
        let sum: String = Md5::digest(content).iter().map(|b| format!("{b:02x}")).collect();
        sums += &format!("{sum}  {path}\n");
    }
    let kib: usize = files.iter().map(|f| f.2.len().div_ceil(1024)).sum();
    control.file("control", 0o644, fields(kib).as_bytes());
    control.file("md5sums", 0o644, sums.as_bytes());
    SCRIPTS.iter().for_each(|(name, text)| control.file(name, 0o755, text.as_bytes()));
    let mut deb = b"!<arch>\n".to_vec();
    member(&mut deb, "debian-binary", b"2.0\n");
    member(&mut deb, "control.tar.gz", &gzipped(&control.finish()));
    member(&mut deb, "data.tar.gz", &gzipped(&data.finish()));
    deb
}

fn fields(kib: usize) -> String {
    format!(
        "Package: xemu\nVersion: {VERSION}\nArchitecture: arm64\nMaintainer: xemu's developers <xemu@invalid>\nInstalled-Size: {kib}\n\
         Section: otherosfs\nPriority: optional\nMulti-Arch: foreign\nEnhances: containerd, docker.io, podman\n\
         Description: runs amd64 programs and containers on ARM64\n \
         One static binary that translates amd64 machine code as it runs. It is\n \
         registered with the kernel (binfmt_misc), so amd64 programs, also those in\n \
         containers' images, start as if they were native.\n"
    )
}

fn changelog() -> String {
    format!("xemu ({VERSION}) unstable; urgency=medium\n\n  * See the project's history.\n\n -- xemu's developers <xemu@invalid>  Thu, 01 Jan 1970 00:00:00 +0000\n")
}

/// A member of an ar archive: of root, from 1970 (deb(5)).
fn member(archive: &mut Vec<u8>, name: &str, content: &[u8]) {
    archive.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", content.len()).bytes());
    archive.extend(content);
    if content.len() % 2 == 1 {
        archive.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn dpkg_reads_the_package() {
        let bytes = package(b"\x7fELF", "{}\n");
        assert_eq!(bytes, package(b"\x7fELF", "{}\n"));
        let dir = std::env::temp_dir().join(format!("xemu-deb-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let deb = dir.join("xemu.deb");
        fs::write(&deb, bytes).unwrap();
        let dpkg = |args: &[&str]| {
            let output = Command::new("dpkg-deb").args(args).output().expect("dpkg-deb");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let (deb, root) = (deb.to_str().unwrap(), dir.join("root"));
        let info = dpkg(&["--info", deb]);
        assert!(info.contains("Architecture: arm64") && info.contains("postinst") && info.contains("prerm"), "{info}");
        assert!(dpkg(&["--contents", deb]).contains("-rwxr-xr-x root/root"));
        dpkg(&["--raw-extract", deb, root.to_str().unwrap()]);
        // Every file is as its sum says.
        let sums = Command::new("md5sum").args(["-c", "--quiet", "DEBIAN/md5sums"]).current_dir(&root).status().unwrap();
        assert!(sums.success());
        for script in ["postinst", "prerm"] {
            let checked = Command::new("sh").arg("-n").arg(root.join("DEBIAN").join(script)).status().unwrap();
            assert!(checked.success());
        }
        let _ = fs::remove_dir_all(dir);
    }
}
