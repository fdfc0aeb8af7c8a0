//! Whether the kernel can make a process of an executable file: it knows the format, and the interpreter is there.
//!
//! execve(2) says ENOEXEC or ENOENT too late: systemd's own child gets that error, and below systemd 256 its exit
//! status looks like the program's (203). What cannot be told from here (a handler of binfmt_misc, a file that may be
//! executed but not read) is left to the kernel.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Why the kernel would refuse an executable file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Flaw {
    /// What it starts with is no program.
    Format(&'static str),
    /// The program that it needs to run cannot be executed.
    Interpreter(PathBuf, &'static str),
}

/// How much of a file the kernel reads to tell its format (`BINPRM_BUF_SIZE`, linux/binfmts.h).
const HEAD_LEN: usize = 256;
/// How many scripts deep an interpreter may itself be a script (`exec_binprm`, fs/exec.c).
const DEPTH_MAX: usize = 5;

/// Refuses a file that execve(2) would refuse in `cwd` for what is in it.
pub(super) fn check(file: &Path, cwd: &Path) -> Result<(), Flaw> {
    let mut file = file.to_owned();
    for _ in 0..DEPTH_MAX {
        let Ok(head) = Head::read(&file) else { return Ok(()) };
        let interpreter = match head.format() {
            Format::Script(interpreter) => cwd.join(interpreter),
            Format::Elf(interpreter) => match interpreter.map(|path| cwd.join(path)) {
                Some(path) => return executable(&path),
                None => return Ok(()),
            },
            Format::Unknown(flaw) if no_other_format_is_known() => return Err(Flaw::Format(flaw)),
            Format::Unknown(_) | Format::Foreign => return Ok(()),
        };
        executable(&interpreter)?;
        file = interpreter;
    }
    Err(Flaw::Format("its interpreter is a script, of a script, and so on"))
}

fn executable(interpreter: &Path) -> Result<(), Flaw> {
    let why = match super::program::check(interpreter) {
        Ok(()) => return Ok(()),
        Err(why) => why.unwrap_or("not found"),
    };
    Err(Flaw::Interpreter(interpreter.to_owned(), why))
}

/// The beginning of a file.
struct Head {
    file: File,
    bytes: Vec<u8>,
}

enum Format<'a> {
    /// `#!` and a path.
    Script(&'a Path),
    /// A program for this machine, with its loader if it is linked dynamically.
    Elf(Option<PathBuf>),
    /// Something that a handler of binfmt_misc may know.
    Foreign,
    /// Nothing that the kernel itself knows, and why not.
    Unknown(&'static str),
}

impl Head {
    fn read(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let mut bytes = vec![0; HEAD_LEN];
        let len = file.read_at(&mut bytes, 0)?;
        bytes.truncate(len);
        Ok(Self { file, bytes })
    }

    fn format(&self) -> Format<'_> {
        if self.bytes.is_empty() {
            return Format::Unknown("the file is empty");
        }
        if let Some(line) = self.bytes.strip_prefix(b"#!") {
            return script(line);
        }
        if self.bytes.starts_with(b"\x7fELF") {
            return elf(&self.file, &self.bytes).unwrap_or(Format::Foreign);
        }
        // As bash tells a text from a binary file.
        let first_line = self.bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
        if first_line.contains(&0) { Format::Foreign } else { Format::Unknown(NO_INTERPRETER_LINE) }
    }
}

/// A shell runs such a file by itself; the kernel, and so systemd, does not.
const NO_INTERPRETER_LINE: &str =
    "no program the kernel can run; a script needs a '#!' line at its very start";

/// The interpreter on the line after `#!` (`load_script`, fs/binfmt_script.c).
fn script(after: &[u8]) -> Format<'_> {
    let line = after.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let Some(start) = line.iter().position(|byte| !blank(byte)) else {
        return Format::Unknown("its '#!' line names no interpreter");
    };
    let path = &line[start..];
    let end = path.iter().position(|byte| blank(byte) || *byte == 0).unwrap_or(path.len());
    Format::Script(Path::new(OsStr::from_bytes(&path[..end])))
}

/// The offsets in the headers of a 64-bit ELF file (elf(5)).
mod elf64 {
    pub(super) const CLASS: usize = 4;
    pub(super) const DATA: usize = 5;
    pub(super) const PHOFF: usize = 32;
    pub(super) const PHENTSIZE: usize = 54;
    pub(super) const PHNUM: usize = 56;
    pub(super) const P_OFFSET: usize = 8;
    pub(super) const P_FILESZ: usize = 32;
    pub(super) const PHDR_LEN: usize = 56;
    pub(super) const PT_INTERP: u32 = 3;
}

/// A program of this machine's own word size and byte order, and the loader that it names (`PT_INTERP`); `None` where
/// the file is another machine's or cannot be read as that.
fn elf(file: &File, head: &[u8]) -> Option<Format<'static>> {
    let (class, data) = (*head.get(elf64::CLASS)?, *head.get(elf64::DATA)?);
    if class != 2 || data != 1 || cfg!(target_endian = "big") {
        return None;
    }
    let (size, count) = (u16_at(head, elf64::PHENTSIZE)?, u16_at(head, elf64::PHNUM)?);
    if usize::from(size) != elf64::PHDR_LEN {
        return None;
    }
    let mut table = vec![0; usize::from(size) * usize::from(count)];
    file.read_exact_at(&mut table, u64_at(head, elf64::PHOFF)?).ok()?;
    let named = table.chunks(elf64::PHDR_LEN).find(|entry| u32_at(entry, 0) == Some(elf64::PT_INTERP));
    let Some(entry) = named else { return Some(Format::Elf(None)) };
    let mut path = vec![0; usize::try_from(u64_at(entry, elf64::P_FILESZ)?).ok().filter(|&len| len <= 4096)?];
    file.read_exact_at(&mut path, u64_at(entry, elf64::P_OFFSET)?).ok()?;
    let path = path.strip_suffix(b"\0")?;
    Some(Format::Elf(Some(OsStr::from_bytes(path).into())))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

/// Whether no handler of binfmt_misc is there that might take a file by its first bytes or its name.
fn no_other_format_is_known() -> bool {
    let Ok(entries) = fs::read_dir("/proc/sys/fs/binfmt_misc") else { return true };
    entries.flatten().all(|entry| matches!(entry.file_name().as_bytes(), b"register" | b"status"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn checked(content: &[u8]) -> Result<(), Flaw> {
        let directory = tempfile::tempdir().unwrap();
        check(&file(directory.path(), "tool", content), directory.path())
    }

    fn file(directory: &Path, name: &str, content: &[u8]) -> PathBuf {
        let path = directory.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn interpreter(path: &str, why: &'static str) -> Result<(), Flaw> {
        Err(Flaw::Interpreter(path.into(), why))
    }

    #[test]
    fn a_script_needs_its_interpreter() {
        assert_eq!(checked(b"#!/bin/sh\n"), Ok(()));
        assert_eq!(checked(b"#! \t/bin/sh -e\n"), Ok(()));
        assert_eq!(checked(b"#!/bin/sh"), Ok(()));
        assert_eq!(checked(b"#!/nope/sh -e\n"), interpreter("/nope/sh", "not found"));
        assert_eq!(checked(b"#!/tmp\n"), interpreter("/tmp", "is a directory"));
        assert_eq!(checked(b"#!/bin/sh\r\n"), interpreter("/bin/sh\r", "not found"));
        assert!(matches!(checked(b"#! \n"), Err(Flaw::Format(_))));
    }

    #[test]
    fn an_interpreter_may_be_a_script_and_is_found_from_the_working_directory() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        let tool = file(at, "tool", b"#!./middle\n");
        assert!(matches!(check(&tool, at), Err(Flaw::Interpreter(_, "not found"))));
        file(at, "middle", b"#!/bin/sh\n");
        assert_eq!(check(&tool, at), Ok(()));
        file(at, "middle", b"#!/nope\n");
        assert_eq!(check(&tool, at), interpreter("/nope", "not found"));
        let looped = file(at, "looped", b"#!./looped\n");
        assert!(matches!(check(&looped, at), Err(Flaw::Format(_))));
    }

    #[test]
    fn a_text_without_a_first_line_for_the_kernel_is_no_program() {
        // Where a handler of binfmt_misc is registered, the kernel alone can tell.
        if no_other_format_is_known() {
            assert_eq!(checked(b""), Err(Flaw::Format("the file is empty")));
            assert_eq!(checked(b"echo hello\n"), Err(Flaw::Format(NO_INTERPRETER_LINE)));
            assert_eq!(checked(b"\n#!/bin/sh\n"), Err(Flaw::Format(NO_INTERPRETER_LINE)));
        }
        assert_eq!(checked(b"MZ\0\x01"), Ok(()), "for a handler of binfmt_misc to know");
    }

    #[test]
    fn a_program_needs_its_loader() {
        let this = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(checked(&this), Ok(()));
        let loader = b"/lib64/ld-linux-x86-64.so.2";
        let Some(at) = this.windows(loader.len()).position(|window| window == loader) else { return };
        let mut moved = this.clone();
        moved[at + 1..at + 4].copy_from_slice(b"xxx");
        assert_eq!(checked(&moved), interpreter("/xxx64/ld-linux-x86-64.so.2", "not found"));
        for len in [4, 16, 60, 64, 200] {
            assert_eq!(checked(&this[..len]), Ok(()), "the kernel's to refuse, at {len} bytes");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_left_to_the_kernel() {
        assert_eq!(check(Path::new("/nope/nowhere"), Path::new("/")), Ok(()));
    }
}
