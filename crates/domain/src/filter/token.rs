//! The tokens of a filter.

/// A piece of a filter, as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A name, dotted and quoted in parts as it may be: `` metrics.`a b` ``.
    Name(&'a str),
    /// A number.
    Number(&'a str),
    /// A text in single quotes, with them.
    Text(&'a str),
    /// Signs of a comparison.
    Signs(&'a str),
    /// What stands between parentheses, with them.
    List(&'a str),
    /// Anything else.
    Other(&'a str),
}

impl<'a> Token<'a> {
    /// As it was written.
    pub(crate) fn text(self) -> &'a str {
        match self {
            Self::Name(text)
            | Self::Number(text)
            | Self::Text(text)
            | Self::Signs(text)
            | Self::List(text)
            | Self::Other(text) => text,
        }
    }

    /// Whether it is that word, in upper or lower case.
    pub(crate) fn is_word(self, word: &str) -> bool {
        matches!(self, Self::Name(text) if text.eq_ignore_ascii_case(word))
    }
}

/// All tokens of a filter.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = next(rest, first);
        found.push(token);
        rest = rest[length..].trim_start();
    }
    found
}

fn next<'a>(rest: &'a str, first: char) -> (Token<'a>, usize) {
    let (make, length): (fn(&'a str) -> Token<'a>, usize) = match first {
        '\'' => match quoted(rest, '\'') {
            Some(length) => (Token::Text, length),
            None => (Token::Other, 1),
        },
        '(' => (Token::List, list(rest)),
        '<' | '>' | '=' | '!' | '~' => {
            (Token::Signs, rest.find(|c| !matches!(c, '<' | '>' | '=' | '!' | '~')).unwrap_or(rest.len()))
        }
        '0'..='9' | '.' | '-' => match number(rest) {
            0 => (Token::Other, 1),
            length => (Token::Number, length),
        },
        _ => match name(rest) {
            0 => (Token::Other, first.len_utf8()),
            length => (Token::Name, length),
        },
    };
    (make(&rest[..length]), length)
}

/// Length of a quoted text with its quotes; a quote within it is doubled or comes after a backslash.
fn quoted(rest: &str, quote: char) -> Option<usize> {
    let mut letters = rest.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' && letters.peek().is_some_and(|(_, next)| *next == quote) {
            // At the very end it closes the text after all.
            let (after, _) = letters.next()?;
            if rest[after + 1..].find(quote).is_none() {
                return Some(after + 1);
            }
        } else if letter == quote {
            if letters.peek().is_some_and(|(_, next)| *next == quote) {
                letters.next();
            } else {
                return Some(at + 1);
            }
        }
    }
    None
}

/// Length of a parenthesis with what it holds; all of the rest when it is not closed.
fn list(rest: &str) -> usize {
    let mut at = 1;
    while let Some(letter) = rest[at..].chars().next() {
        match letter {
            ')' => return at + 1,
            '\'' | '"' => at += quoted(&rest[at..], letter).unwrap_or(1),
            other => at += other.len_utf8(),
        }
    }
    rest.len()
}

/// Length of a number, 0 when there is none.
fn number(rest: &str) -> usize {
    let digits = |from: usize| rest[from..].bytes().take_while(u8::is_ascii_digit).count();
    let sign = usize::from(rest.starts_with('-'));
    let whole = digits(sign);
    let mut length = sign + whole;
    let mut has_digits = whole > 0;
    if rest[length..].starts_with('.') {
        let fraction = digits(length + 1);
        has_digits |= fraction > 0;
        length += 1 + fraction;
    }
    if !has_digits {
        return 0;
    }
    if rest[length..].starts_with(['e', 'E']) {
        let minus = usize::from(rest[length + 1..].starts_with('-'));
        let exponent = digits(length + 1 + minus);
        length += if exponent > 0 { 1 + minus + exponent } else { 0 };
    }
    if rest[length..].starts_with(|c: char| c.is_alphanumeric() || c == '_') { 0 } else { length }
}

/// Length of a name: words and quoted parts with dots between them; 0 when there is none.
fn name(rest: &str) -> usize {
    let mut at = part(rest);
    while at > 0 && rest[at..].starts_with('.') {
        let next = &rest[at + 1..];
        match if next.starts_with('\'') { quoted(next, '\'').unwrap_or(0) } else { part(next) } {
            0 => return at,
            length => at += 1 + length,
        }
    }
    at
}

fn part(rest: &str) -> usize {
    match rest.chars().next() {
        Some(quote @ ('`' | '"')) => quoted(rest, quote).unwrap_or(0),
        _ => {
            rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$' | '#'))).unwrap_or(rest.len())
        }
    }
}
