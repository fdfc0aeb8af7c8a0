//! A file that is appended to and set aside when it has become large.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes after which a file is set aside. What is written at once stays together, so it may be more.
    pub size: u64,
    /// How many that were set aside are kept. With none, the file starts anew.
    pub keep: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { size: 64 * 1024 * 1024, keep: 5 }
    }
}

/// A file, its end, and those that were set aside: `NAME.1` is the newest of them.
#[derive(Debug)]
pub(super) struct Rotated {
    path: PathBuf,
    limits: Limits,
    file: File,
    len: u64,
    /// Where a line was cut short by an error: what comes next begins one of its own.
    cut: bool,
}

impl Rotated {
    /// Opens it for the user alone, and appends to what is there.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn open(path: &Path, limits: Limits) -> io::Result<Self> {
        let file = appended(path)?;
        let len = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), limits, file, len, cut: false })
    }

    /// Appends whole lines.
    ///
    /// # Errors
    /// The file system's. Part of them may have been written.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.len > 0 && self.len.saturating_add(lines.len() as u64) > self.limits.size {
            self.set_aside()?;
        }
        if self.cut {
            self.append(b"\n")?;
        }
        self.append(lines)
    }

    fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.len += written as u64;
            self.cut = bytes[written - 1] != b'\n';
            bytes = &bytes[written..];
        }
        Ok(())
    }

    fn set_aside(&mut self) -> io::Result<()> {
        for number in (1..self.limits.keep).rev() {
            rename(&self.aside(number), &self.aside(number + 1))?;
        }
        if self.limits.keep > 0 {
            rename(&self.path, &self.aside(1))?;
        } else {
            fs::remove_file(&self.path)?;
        }
        self.file = appended(&self.path)?;
        (self.len, self.cut) = (0, false);
        Ok(())
    }

    fn aside(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn appended(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Renames what may not be there.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn contents(dir: &Path) -> Vec<(String, String)> {
        let mut files: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    fn named(files: &[(&str, &str)]) -> Vec<(String, String)> {
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn what_has_become_large_is_set_aside_and_so_many_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stdout.log");
        let mut rotated = Rotated::open(&path, Limits { size: 12, keep: 2 }).unwrap();
        for number in 0..9 {
            rotated.write(format!("line{number}\n").as_bytes()).unwrap();
        }
        let kept = [
            ("stdout.log", "line8\n"),
            ("stdout.log.1", "line6\nline7\n"),
            ("stdout.log.2", "line4\nline5\n"),
        ];
        assert_eq!(contents(dir.path()), named(&kept));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_there_is_appended_to_and_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stderr.log");
        fs::write(&path, "earlier\n").unwrap();
        Rotated::open(&path, Limits { size: 14, keep: 1 }).unwrap().write(b"later\n").unwrap();
        assert_eq!(contents(dir.path()), named(&[("stderr.log", "earlier\nlater\n")]));
        Rotated::open(&path, Limits { size: 14, keep: 1 }).unwrap().write(b"last\n").unwrap();
        let kept = [("stderr.log", "last\n"), ("stderr.log.1", "earlier\nlater\n")];
        assert_eq!(contents(dir.path()), named(&kept));
    }

    #[test]
    fn with_none_to_keep_the_file_starts_anew_and_one_large_write_stays_together() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stdout.log");
        let mut rotated = Rotated::open(&path, Limits { size: 4, keep: 0 }).unwrap();
        rotated.write(b"more than four\n").unwrap();
        assert_eq!(contents(dir.path()), named(&[("stdout.log", "more than four\n")]));
        rotated.write(b"next\n").unwrap();
        assert_eq!(contents(dir.path()), named(&[("stdout.log", "next\n")]));
    }
}
