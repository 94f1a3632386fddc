//! Single JSON values as they stand in the text.

use std::borrow::Cow;
use std::fmt;

use cairn_types::SqlType;
use cairn_types::value::parse_decimal;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::column::Target;
use crate::tally::Why;

/// The value of `key` in an object; the first, if it is there twice.
pub(crate) fn member<'a>(object: &'a RawValue, key: &str) -> Option<&'a RawValue> {
    let mut found = None;
    for_each_member(object.get(), |name, value| {
        if name == key && found.is_none() {
            found = Some(value);
        }
    })
    .ok()?;
    found
}

/// The element of an array.
pub(crate) fn element(array: &RawValue, index: usize) -> Option<&RawValue> {
    struct Elements(usize);
    impl<'de> Visitor<'de> for Elements {
        type Value = Option<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
            for _ in 0..self.0 {
                if elements.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(None);
                }
            }
            let found = elements.next_element()?;
            while elements.next_element::<IgnoredAny>()?.is_some() {}
            Ok(found)
        }
    }
    serde_json::Deserializer::from_str(array.get()).deserialize_seq(Elements(index)).ok()?
}

/// Calls `each` with every key and value of the object `text`.
///
/// # Errors
/// When it is no sound object.
pub(crate) fn for_each_member<'a>(
    text: &'a str,
    each: impl FnMut(&str, &'a RawValue),
) -> Result<(), serde_json::Error> {
    struct Members<F>(F);
    impl<'de, F: FnMut(&str, &'de RawValue)> Visitor<'de> for Members<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
            while let Some(key) = members.next_key::<Key<'de>>()? {
                (self.0)(&key.0, members.next_value()?);
            }
            Ok(())
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(Members(each))?;
    deserializer.end()
}

/// A key, borrowed unless it has escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// The cell that a column of `target` gets from a value: text for the rules of its type, or NULL.
pub(crate) fn cell<'a>(value: &'a RawValue, target: &Target) -> Result<Option<Cow<'a, str>>, Why> {
    let text = value.get().trim();
    let ty = target.ty();
    match text.as_bytes().first() {
        Some(b'n') => Ok(None),
        // As numbers, for columns of all types: so does StarRocks.
        Some(b't') => Ok(Some("1".into())),
        Some(b'f') => Ok(Some("0".into())),
        Some(b'"') => {
            let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
            match inner.filter(|inner| !inner.contains('\\')) {
                Some(inner) => Ok(Some(inner.into())),
                None => serde_json::from_str::<String>(text).map(|s| Some(s.into())).map_err(|_| Why::Utf8),
            }
        }
        Some(b'{' | b'[') => Ok(Some(match ty {
            Some(ty) if !ty.is_string() => text.into(),
            _ => minify(text).into(),
        })),
        _ if ty.is_some_and(SqlType::is_integer) => Ok(Some(whole_number(text))),
        _ => Ok(Some(text.into())),
    }
}

/// `1.0` and `1e3` are whole numbers too, as JSON knows only one kind; others stay as they are.
fn whole_number(text: &str) -> Cow<'_, str> {
    const PLACES: u8 = 9;
    if !text.contains(['.', 'e', 'E']) {
        return text.into();
    }
    let exact = |places| parse_decimal(text, 38, places);
    match (exact(0), exact(PLACES)) {
        (Some(whole), Some(fine)) if whole.checked_mul(10i128.pow(PLACES.into())) == Some(fine) => {
            whole.to_string().into()
        }
        _ => text.into(),
    }
}

/// Sound JSON without the spaces between its parts.
pub(crate) fn minify(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in text.chars() {
        if !in_string && matches!(c, ' ' | '\t' | '\r' | '\n') {
            continue;
        }
        out.push(c);
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::TypedTarget;

    fn check(json: &str, ty: SqlType, expected: Option<&str>) {
        let target = Target::Typed(TypedTarget {
            name: "c".into(),
            ty,
            nullable: true,
            strict: true,
            when_missing: None,
        });
        let value: &RawValue = serde_json::from_str(json).unwrap();
        assert_eq!(cell(value, &target).unwrap().as_deref(), expected, "{json} for {ty}");
    }

    #[test]
    fn values_become_cells_of_the_column() {
        let text = SqlType::String;
        let decimal = SqlType::Decimal { precision: 38, scale: 20 };
        check("null", text, None);
        check(r#""a\n\"bü""#, text, Some("a\n\"bü"));
        check("true", SqlType::Boolean, Some("1"));
        check("false", text, Some("0"));
        check("12.50", text, Some("12.50"));
        check(r#"{"a" : [1, "x y\" "]}"#, text, Some(r#"{"a":[1,"x y\" "]}"#));
        check("0.12345678901234567890123", decimal, Some("0.12345678901234567890123"));
        check("1.0", SqlType::Int, Some("1"));
        check("-2.5e1", SqlType::Int, Some("-25"));
        check("1.5", SqlType::Int, Some("1.5"));
        check("1e50", SqlType::LargeInt, Some("1e50"));
        check("9223372036854775807", SqlType::BigInt, Some("9223372036854775807"));
    }
}
