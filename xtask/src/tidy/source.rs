//! Reads Rust source far enough to tell code from comments and from the inside of literals.
//!
//! It knows strings (byte, C and raw ones), characters, lifetimes and nested comments. It is no parser: what
//! it yields is the source with the rest blanked out, so that a brace found in the code is a brace of the
//! code.

/// Two views of one source, line for line and column for column.
#[derive(Debug)]
pub(crate) struct Split {
    /// Comments and the inside of literals are blank.
    pub(crate) code: String,
    /// Everything but comments is blank.
    pub(crate) comments: String,
}

pub(crate) fn split(source: &str) -> Split {
    let mut splitter = Splitter {
        characters: source.chars().collect(),
        at: 0,
        code: String::new(),
        comments: String::new(),
    };
    splitter.run();
    Split { code: splitter.code, comments: splitter.comments }
}

/// A character that can stand inside a name.
pub(crate) fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[derive(Clone, Copy)]
enum Kind {
    Code,
    Comment,
    Inside,
}

struct Splitter {
    characters: Vec<char>,
    at: usize,
    code: String,
    comments: String,
}

impl Splitter {
    fn run(&mut self) {
        while let Some(character) = self.peek(0) {
            match (character, self.peek(1)) {
                ('/', Some('/')) => self.line_comment(),
                ('/', Some('*')) => self.block_comment(),
                ('"', _) => self.string(),
                ('\'', _) => self.quote(),
                ('r', Some('"' | '#')) if self.opens_raw_string() => self.raw_string(),
                _ => self.take(1, Kind::Code),
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.at + ahead).copied()
    }

    fn take(&mut self, number: usize, kind: Kind) {
        let end = (self.at + number).min(self.characters.len());
        for &character in &self.characters[self.at..end] {
            let blank = if character.is_whitespace() { character } else { ' ' };
            let (code, comment) = match kind {
                Kind::Code => (character, blank),
                Kind::Comment => (blank, character),
                Kind::Inside => (blank, blank),
            };
            self.code.push(code);
            self.comments.push(comment);
        }
        self.at = end;
    }

    fn line_comment(&mut self) {
        let length = self.characters[self.at..].iter().take_while(|&&character| character != '\n').count();
        self.take(length, Kind::Comment);
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        while let Some(character) = self.peek(0) {
            match (character, self.peek(1)) {
                ('/', Some('*')) => {
                    depth += 1;
                    self.take(2, Kind::Comment);
                }
                ('*', Some('/')) => {
                    depth -= 1;
                    self.take(2, Kind::Comment);
                    if depth == 0 {
                        return;
                    }
                }
                _ => self.take(1, Kind::Comment),
            }
        }
    }

    fn string(&mut self) {
        self.take(1, Kind::Code);
        while let Some(character) = self.peek(0) {
            match character {
                '"' => return self.take(1, Kind::Code),
                '\\' => self.take(2, Kind::Inside),
                _ => self.take(1, Kind::Inside),
            }
        }
    }

    /// `'x'` and `'\n'` are characters; `'a` without a closing quote is a lifetime or a label.
    fn quote(&mut self) {
        let inside = match (self.peek(1), self.peek(2)) {
            (Some('\\'), _) => {
                let rest = self.characters.get(self.at + 3..).unwrap_or_default();
                2 + rest.iter().take_while(|&&character| character != '\'').count()
            }
            (Some(_), Some('\'')) => 1,
            _ => return self.take(1, Kind::Code),
        };
        self.take(1, Kind::Code);
        self.take(inside, Kind::Inside);
        self.take(1, Kind::Code);
    }

    /// At an `r`: is it the prefix of a raw string (`r"`, `br#"`), not the end of a name or a raw name
    /// (`r#type`)?
    fn opens_raw_string(&self) -> bool {
        let before =
            self.characters[..self.at].iter().rev().take_while(|&&character| is_name(character)).count();
        let prefix = &self.characters[self.at - before..self.at];
        matches!(prefix, [] | ['b' | 'c']) && self.peek(1 + self.hashes(1)) == Some('"')
    }

    fn hashes(&self, ahead: usize) -> usize {
        let rest = self.characters.get(self.at + ahead..).unwrap_or_default();
        rest.iter().take_while(|&&character| character == '#').count()
    }

    fn raw_string(&mut self) {
        let hashes = self.hashes(1);
        self.take(2 + hashes, Kind::Code);
        while let Some(character) = self.peek(0) {
            if character == '"' && self.hashes(1) >= hashes {
                return self.take(1 + hashes, Kind::Code);
            }
            self.take(1, Kind::Inside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    /// In `expected`, a dot stands for a blanked character.
    fn check(input: &str, expected: &str) {
        let code = split(input).code;
        assert_eq!(code.replace(' ', "."), expected.replace(' ', "."), "code of {input}");
    }

    #[test]
    fn comments_are_not_code() {
        check("a // {\nb", "a     \nb");
        check("a/*{/*}*/{*/b", &format!("a{}b", " ".repeat(11)));
        check("/// # Doc {\nfn a() {}", "           \nfn a() {}");
    }

    #[test]
    fn the_inside_of_strings_is_not_code() {
        check(r#"a("{")"#, r#"a(".")"#);
        check(r#"a("\"{", b)"#, r#"a("...", b)"#);
        check(r#"a("\\", "{")"#, r#"a("..", ".")"#);
        check(r#"a(b"{")"#, r#"a(b".")"#);
        check("a(\"// no\", {)", "a(\".....\", {)");
    }

    #[test]
    fn raw_strings_end_at_their_own_hashes() {
        check("r\"{\\\" }", "r\"..\" }");
        check("r#\"{\"{\"# }", "r#\"...\"# }");
        check("br##\"\"# {\"## }", "br##\"....\"## }");
        check("cr#\"{\"# }", "cr#\".\"# }");
    }

    #[test]
    fn raw_names_are_code() {
        check("r#type { }", "r#type { }");
        check("r#\"{\"#; r#fn", "r#\".\"#; r#fn");
    }

    #[test]
    fn characters_are_told_from_lifetimes() {
        check("'{' }", "'.' }");
        check("'\\'' }", "'..' }");
        check("'\\\\' }", "'..' }");
        check("'\\u{7b}' }", "'......' }");
        check("b'{' }", "b'.' }");
        check("fn a<'a, 'b>(x: &'a str) {}", "fn a<'a, 'b>(x: &'a str) {}");
        check("'outer: loop { break 'outer; }", "'outer: loop { break 'outer; }");
        check("('a', 'b')", "('.', '.')");
    }

    #[test]
    fn lines_and_columns_stay() {
        let input = "a \"é\n{\" // ü\nb";
        let split = split(input);
        for view in [&split.code, &split.comments] {
            let shape = |text: &str| text.lines().map(|line| line.chars().count()).collect::<Vec<_>>();
            assert_eq!(shape(view), shape(input));
        }
        assert_eq!(split.comments, "    \n   // ü\n ");
    }

    #[test]
    fn unfinished_source_does_not_loop() {
        for input in ["\"", "'", "'\\", "/*", "r#\"", "r#", "b'", "\"\\"] {
            assert_eq!(split(input).code.chars().count(), input.chars().count(), "{input}");
        }
    }
}
