//! How large the functions and the production part of one Rust file are.
//!
//! A token walk, not a parser: it builds in a second and follows any syntax that balances its brackets. What it does
//! not see: functions made by macros, and a const block in a signature (`-> [u8; { N }]`), which ends the signature early.

use crate::blank::{blank, is_word};

/// A function with a body, outside test-only items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// From the line of `fn` to that of the closing brace, both counted.
    pub lines: usize,
}

/// What the size rules need to know about one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// Lines that are not part of a `#[cfg(test)]` item.
    pub production_lines: usize,
    pub functions: Vec<Function>,
    /// Modules declared as `#[cfg(test)] mod name;`: their files are tests too.
    pub test_modules: Vec<String>,
}

/// Measures a source text.
pub fn scan(source: &str) -> Scan {
    let tokens = tokens(&blank(source));
    let total = source.lines().count();
    let mut scan = Scan { production_lines: total, ..Scan::default() };
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match attribute(&tokens, at) {
            Some(found) if found.test_only && found.inner => return Scan::default(),
            Some(found) if found.test_only => {
                let end = item_end(&tokens, found.end, &mut scan.test_modules);
                let last = tokens.get(end).map_or(total, |last| last.line);
                scan.production_lines = scan.production_lines.saturating_sub(last - token.line + 1);
                at = end + 1;
            }
            Some(found) => at = found.end,
            None => {
                scan.functions.extend(function(&tokens, at));
                at += 1;
            }
        }
    }
    scan
}

#[derive(Debug)]
struct Token {
    text: String,
    line: usize,
}

fn tokens(code: &[u8]) -> Vec<Token> {
    let (mut tokens, mut line): (Vec<Token>, usize) = (Vec::new(), 1);
    let mut inside_word = false;
    for byte in code {
        let word = is_word(*byte);
        match tokens.last_mut() {
            Some(last) if word && inside_word => last.text.push(char::from(*byte)),
            _ if byte.is_ascii_whitespace() => {}
            _ => tokens.push(Token { text: char::from(*byte).to_string(), line }),
        }
        inside_word = word;
        line += usize::from(*byte == b'\n');
    }
    tokens
}

fn text(tokens: &[Token], at: usize) -> &str {
    tokens.get(at).map_or("", |token| token.text.as_str())
}

struct Attribute {
    test_only: bool,
    inner: bool,
    /// Index of the token after the closing bracket.
    end: usize,
}

/// The attribute that begins at `at`, if one does.
fn attribute(tokens: &[Token], at: usize) -> Option<Attribute> {
    if text(tokens, at) != "#" {
        return None;
    }
    let inner = text(tokens, at + 1) == "!";
    let open = at + 1 + usize::from(inner);
    if text(tokens, open) != "[" {
        return None;
    }
    let end = closing(tokens, open) + 1;
    let words: Vec<&str> = (open + 1..end).map(|i| text(tokens, i)).filter(|word| *word != "(").collect();
    // `any(test, …)` is also compiled without tests, and `not(test)` only then.
    let test_only = words.first() == Some(&"cfg")
        && words.contains(&"test")
        && !words.iter().any(|word| matches!(*word, "not" | "any"));
    Some(Attribute { test_only, inner, end })
}

/// Index of the bracket that closes the one at `open`, or of the last token when none does.
fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index;
        }
    }
    tokens.len().saturating_sub(1)
}

/// Index of the token that ends a signature or item head: `;`, or the opening brace of its body.
fn head_end(tokens: &[Token], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        match text(tokens, at) {
            "" => return None,
            ";" | "{" => return Some(at),
            "(" | "[" => at = closing(tokens, at) + 1,
            _ => at += 1,
        }
    }
}

/// Index of the last token of the item that begins at `from`; a module without a body is added to `modules`.
fn item_end(tokens: &[Token], from: usize, modules: &mut Vec<String>) -> usize {
    let mut start = from;
    while let Some(further) = attribute(tokens, start) {
        start = further.end;
    }
    let Some(head) = head_end(tokens, start) else { return tokens.len().saturating_sub(1) };
    if text(tokens, head) == "{" {
        return closing(tokens, head);
    }
    if let Some(index) = (start..head).find(|i| text(tokens, *i) == "mod") {
        modules.push(text(tokens, index + 1).to_owned());
    }
    head
}

fn function(tokens: &[Token], at: usize) -> Option<Function> {
    let name = text(tokens, at + 1);
    // `fn(` is a pointer type, `fn $name` a macro's pattern.
    if text(tokens, at) != "fn" || !name.bytes().next().is_some_and(is_word) {
        return None;
    }
    let head = head_end(tokens, at + 1)?;
    if text(tokens, head) != "{" {
        return None;
    }
    let first = tokens.get(at)?.line;
    let last = tokens.get(closing(tokens, head))?.line;
    Some(Function { name: name.to_owned(), lines: last - first + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions(source: &str) -> Vec<(String, usize)> {
        scan(source).functions.into_iter().map(|f| (f.name, f.lines)).collect()
    }

    #[test]
    fn functions_are_measured_by_their_braces() {
        for (source, expected) in [
            ("fn a() {}", vec![("a", 1)]),
            ("fn a()\n{\n  \"}\";\n  // }\n}\nfn b() {}", vec![("a", 5), ("b", 1)]),
            ("trait T { fn a(&self); fn b(&self) {\n} }", vec![("b", 2)]),
            ("fn a<'x>(f: fn(u8) -> u8, n: [u8; 2]) -> Box<dyn Fn()> where u8: Copy {\n}", vec![("a", 2)]),
            ("fn outer() {\n fn inner() {\n }\n}", vec![("outer", 4), ("inner", 2)]),
            ("macro_rules! m { ($n:ident) => { fn $n() {} } }", vec![]),
        ] {
            let expected: Vec<_> =
                expected.into_iter().map(|(name, lines)| (name.to_owned(), lines)).collect();
            assert_eq!(functions(source), expected, "source: {source}");
        }
    }

    #[test]
    fn test_only_items_do_not_count() {
        let source =
            "fn a() {\n}\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n  fn long() {\n  }\n}\nfn b() {}\n";
        let result = scan(source);
        assert_eq!(result.production_lines, 3);
        assert_eq!(functions(source), vec![("a".to_owned(), 2), ("b".to_owned(), 1)]);
    }

    #[test]
    fn which_attributes_are_test_only() {
        for (attribute, test_only) in [
            ("#[cfg(test)]", true),
            ("#[cfg(all(test, unix))]", true),
            ("#[cfg(any(test, feature = \"sim\"))]", false),
            ("#[cfg(not(test))]", false),
            ("#[cfg_attr(test, allow(dead_code))]", false),
            ("#[derive(Debug)]", false),
        ] {
            let counted = functions(&format!("{attribute}\nfn a() {{}}")).len();
            assert_eq!(counted, usize::from(!test_only), "attribute: {attribute}");
        }
    }

    #[test]
    fn files_of_tests_are_found() {
        let result = scan("#[cfg(test)]\nmod cases;\nmod real;\n#[cfg(test)]\nuse x::{a, b};\nfn f() {}\n");
        assert_eq!(result.test_modules, vec!["cases".to_owned()]);
        assert_eq!(result.functions.len(), 1);
        assert_eq!(scan("#![cfg(test)]\nfn a() {}\n"), Scan::default());
    }
}
