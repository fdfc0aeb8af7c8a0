//! Reads just enough Rust to say what a file refers to: paths, with `use` trees spread out, and method calls.
//!
//! Comments and literals are skipped. Macros are read as they are written, so a path inside one counts too.

use std::collections::HashMap;

/// One file, as the rules see it.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// Every path, in the order of the file.
    pub(crate) references: Vec<Reference>,
    /// Modules that lie in files of their own and are built for tests alone, by their path in the crate.
    pub(crate) test_modules: Vec<Vec<String>>,
}

/// Something that a file names.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    pub(crate) line: usize,
    /// From the crate's root where the first segment is `crate`, else as it is written. A method call is `.` and
    /// its name, a keyword stands alone.
    pub(crate) path: Vec<String>,
    /// Whether only a test build has it.
    pub(crate) in_test: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    /// `::`
    Sep,
    Mark(char),
}

/// Reads the file that holds the module `module`, such as `["unit", "plan"]`.
pub(crate) fn read(module: &[String], text: &str) -> Source {
    let mut reader =
        Reader { tokens: Lexer::new(text).tokens(), module: module.to_vec(), ..Reader::default() };
    reader.file();
    let names = reader.names;
    let references =
        reader.source.references.into_iter().map(|reference| through(&names, reference)).collect();
    Source { references, ..reader.source }
}

/// Spells a path out that starts with a name which a `use` brought in.
fn through(names: &HashMap<String, Vec<String>>, mut reference: Reference) -> Reference {
    if reference.path.len() > 1
        && let Some(meant) = names.get(&reference.path[0])
        && *meant != reference.path
    {
        reference.path.splice(..1, meant.iter().cloned());
    }
    reference
}

#[derive(Default)]
struct Reader {
    tokens: Vec<(usize, Token)>,
    at: usize,
    module: Vec<String>,
    /// One entry per open brace: the inline module it opened, and whether it is built for tests alone.
    scopes: Vec<(Option<String>, bool)>,
    /// The next item has `#[cfg(test)]`.
    test_item: bool,
    /// What names that were brought in by `use` stand for.
    names: HashMap<String, Vec<String>>,
    source: Source,
}

impl Reader {
    fn file(&mut self) {
        while let Some(token) = self.peek(0).cloned() {
            match token {
                Token::Mark('{') => self.open(None),
                Token::Mark('.') => self.method(),
                Token::Word(word) => self.word(&word),
                Token::Sep | Token::Mark(_) => self.mark(&token),
            }
        }
    }

    fn mark(&mut self, mark: &Token) {
        match mark {
            Token::Mark('#') if self.is_test_attribute() => self.test_item = true,
            Token::Mark(';') => self.test_item = false,
            Token::Mark('}') => drop(self.scopes.pop()),
            // What follows `<T as Trait>::` belongs to the trait, which was seen.
            Token::Sep if self.before() == Some(&Token::Mark('>')) => self.at += 1,
            _ => {}
        }
        self.at += 1;
    }

    fn word(&mut self, word: &str) {
        match word {
            "mod" => self.module_item(),
            "unsafe" => {
                self.push(vec!["unsafe".to_owned()]);
                self.at += 1;
            }
            // The bound of an `impl Trait` on what it captures names no path.
            "use" if self.peek(1) == Some(&Token::Mark('<')) => self.at += 1,
            "use" => {
                self.at += 1;
                while self.peek(0) == Some(&Token::Sep) {
                    self.at += 1;
                }
                self.path(Vec::new(), true);
            }
            _ => self.path(Vec::new(), false),
        }
    }

    fn module_item(&mut self) {
        self.at += 1;
        let Some(Token::Word(name)) = self.peek(0).cloned() else { return };
        self.at += 1;
        match self.peek(0) {
            Some(Token::Mark('{')) => self.open(Some(name)),
            Some(Token::Mark(';')) if self.in_test() => {
                let mut path = self.here();
                path.push(name);
                self.source.test_modules.push(path);
            }
            _ => {}
        }
    }

    /// A path, or a whole tree of them in a `use`.
    fn path(&mut self, mut segments: Vec<String>, is_use: bool) {
        loop {
            match self.peek(0).cloned() {
                Some(Token::Word(word)) => segments.push(word),
                Some(Token::Mark('*')) if is_use => segments.push("*".to_owned()),
                Some(Token::Mark('{')) if is_use => return self.tree(&segments),
                _ => return self.reference(segments, is_use),
            }
            self.at += 1;
            if self.peek(0) != Some(&Token::Sep) {
                return self.reference(segments, is_use);
            }
            self.at += 1;
        }
    }

    fn tree(&mut self, stem: &[String]) {
        self.at += 1;
        while let Some(token) = self.peek(0) {
            match token {
                Token::Mark('}') => {
                    self.at += 1;
                    return;
                }
                Token::Word(_) | Token::Mark('{' | '*') => self.path(stem.to_vec(), true),
                _ => self.at += 1,
            }
        }
    }

    fn reference(&mut self, segments: Vec<String>, is_use: bool) {
        if segments.len() < 2 && !is_use {
            return;
        }
        let mut path = self.resolve(segments);
        if is_use && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        if is_use {
            let name = self.alias().or_else(|| path.last().cloned());
            self.names.extend(name.map(|name| (name, path.clone())));
        }
        self.push(path);
    }

    /// The name after `as`, which is read with it.
    fn alias(&mut self) -> Option<String> {
        match (self.peek(0), self.peek(1).cloned()) {
            (Some(Token::Word(word)), Some(Token::Word(name))) if word == "as" => {
                self.at += 2;
                Some(name)
            }
            _ => None,
        }
    }

    fn method(&mut self) {
        if let (Some(Token::Word(name)), Some(Token::Mark('('))) = (self.peek(1).cloned(), self.peek(2)) {
            self.push(vec![".".to_owned(), name]);
            self.at += 1;
        }
        self.at += 1;
    }

    /// The path from `crate` where it starts with `crate`, `self` or `super`.
    fn resolve(&self, segments: Vec<String>) -> Vec<String> {
        let mut base = match segments.first().map(String::as_str) {
            Some("self" | "super") => self.here(),
            _ => return segments,
        };
        let mut rest = segments.as_slice();
        while let [first, tail @ ..] = rest
            && (first == "super" || first == "self")
        {
            if first == "super" {
                base.pop();
            }
            rest = tail;
        }
        ["crate".to_owned()].into_iter().chain(base).chain(rest.iter().cloned()).collect()
    }

    fn here(&self) -> Vec<String> {
        let inline = self.scopes.iter().filter_map(|(name, _)| name.clone());
        self.module.iter().cloned().chain(inline).collect()
    }

    fn push(&mut self, path: Vec<String>) {
        let line = self.tokens[self.at.min(self.tokens.len()) - usize::from(self.at > 0)].0;
        let in_test = self.in_test();
        self.source.references.push(Reference { line, path, in_test });
    }

    fn open(&mut self, module: Option<String>) {
        self.scopes.push((module, self.test_item));
        self.test_item = false;
        self.at += 1;
    }

    fn in_test(&self) -> bool {
        self.test_item || self.scopes.iter().any(|(_, test)| *test)
    }

    /// Whether `#[cfg(test)]` or `#[cfg(all(test, ...))]` starts here.
    fn is_test_attribute(&self) -> bool {
        let word = |ahead| match self.peek(ahead) {
            Some(Token::Word(word)) => word.as_str(),
            _ => "",
        };
        word(2) == "cfg" && (word(4) == "test" || (word(4) == "all" && word(6) == "test"))
    }

    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead).map(|(_, token)| token)
    }

    fn before(&self) -> Option<&Token> {
        self.tokens.get(self.at.checked_sub(1)?).map(|(_, token)| token)
    }
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lexer<'a> {
    const fn new(text: &'a str) -> Self {
        Self { rest: text, line: 1 }
    }

    fn tokens(mut self) -> Vec<(usize, Token)> {
        let mut tokens = Vec::new();
        while let Some(first) = self.rest.chars().next() {
            let line = self.line;
            if let Some(token) = self.token(first) {
                tokens.push((line, token));
            }
        }
        tokens
    }

    fn token(&mut self, first: char) -> Option<Token> {
        match first {
            _ if self.rest.starts_with("//") => self.skip(self.rest.find('\n').unwrap_or(self.rest.len())),
            _ if self.rest.starts_with("/*") => self.comment(),
            _ if self.rest.starts_with("::") => {
                self.skip(2);
                return Some(Token::Sep);
            }
            '"' => self.string(),
            '\'' => self.quote(),
            _ if first.is_alphanumeric() || first == '_' => return self.word(),
            _ => {
                self.skip(first.len_utf8());
                return (!first.is_whitespace()).then_some(Token::Mark(first));
            }
        }
        None
    }

    fn word(&mut self) -> Option<Token> {
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let word = &self.rest[..end];
        self.skip(end);
        let hashes = self.rest.len() - self.rest.trim_start_matches('#').len();
        match (word, self.rest[hashes..].chars().next()) {
            ("r" | "br" | "cr", Some('"')) => self.raw_string(hashes),
            ("b" | "c", Some('"')) if hashes == 0 => self.string(),
            ("b", Some('\'')) if hashes == 0 => self.quote(),
            ("r", Some(_)) if hashes == 1 => self.skip(1),
            _ if word.starts_with(|c: char| c.is_ascii_digit()) => {}
            _ => return Some(Token::Word(word.to_owned())),
        }
        None
    }

    fn string(&mut self) {
        let mut end = 1;
        while let Some(at) = self.rest[end..].find(['"', '\\']) {
            let escape = self.rest[end + at..].starts_with('\\');
            let escaped = self.rest[end + at + 1..].chars().next().map_or(0, char::len_utf8);
            end += at + 1 + if escape { escaped } else { 0 };
            if !escape {
                return self.skip(end);
            }
        }
        self.skip(self.rest.len());
    }

    fn raw_string(&mut self, hashes: usize) {
        self.skip(hashes + 1);
        let close = format!("\"{}", "#".repeat(hashes));
        self.skip(self.rest.find(&close).map_or(self.rest.len(), |at| at + close.len()));
    }

    /// A character, or the quote of a lifetime.
    fn quote(&mut self) {
        let mut chars = self.rest.char_indices().skip(1);
        let end = match (chars.next(), chars.next()) {
            (Some((_, '\\')), Some((at, _))) => {
                self.rest[at + 1..].find('\'').map_or(at, |close| at + 1 + close)
            }
            (Some(_), Some((at, '\''))) => at,
            // The lifetime's name goes with it, or it would read as a word.
            _ => self.rest[1..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(0),
        };
        self.skip(end + 1);
    }

    fn comment(&mut self) {
        let mut depth = 0;
        loop {
            let bytes = match self.rest {
                rest if rest.starts_with("/*") || rest.starts_with("*/") => 2,
                rest => rest.chars().next().map_or(0, char::len_utf8),
            };
            depth += i32::from(self.rest.starts_with("/*")) - i32::from(self.rest.starts_with("*/"));
            self.skip(bytes);
            if depth == 0 || self.rest.is_empty() {
                return;
            }
        }
    }

    fn skip(&mut self, bytes: usize) {
        let (gone, rest) = self.rest.split_at(bytes);
        self.line += gone.matches('\n').count();
        self.rest = rest;
    }
}
