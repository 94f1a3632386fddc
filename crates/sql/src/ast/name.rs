//! Names and properties, which every family uses, and how they are printed.

use std::fmt::{self, Display as _, Write as _};

/// What stands in the place of a secret.
pub const MASK: &str = "***";

/// `[catalog.]db`. Case as written.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct DatabaseName {
    pub catalog: Option<String>,
    pub name: String,
}

/// `[[catalog.]db.]name` of a table or view. Case as written.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TableName {
    pub catalog: Option<String>,
    pub database: Option<String>,
    pub name: String,
}

impl TableName {
    /// A name without a database.
    pub fn bare(name: impl Into<String>) -> Self {
        Self { catalog: None, database: None, name: name.into() }
    }
}

/// `"key" = "value"`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Property {
    pub key: String,
    pub value: String,
}

impl Property {
    /// Whether the value must never be printed.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        cairn_types::is_secret_property(&self.key)
    }
}

/// `'user'@'host'`; `%` where the text names no host.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct UserName {
    pub user: String,
    pub host: String,
}

impl fmt::Display for DatabaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(catalog) = &self.catalog {
            write!(f, "{}.", quoted(catalog))?;
        }
        quoted(&self.name).fmt(f)
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&self.catalog, &self.database].into_iter().flatten() {
            write!(f, "{}.", quoted(part))?;
        }
        quoted(&self.name).fmt(f)
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.is_secret() { MASK } else { &self.value };
        write!(f, "{} = {}", property_text(&self.key), property_text(value))
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", literal(&self.user), literal(&self.host))
    }
}

/// An identifier in backticks.
pub(crate) fn quoted(name: &str) -> impl fmt::Display + '_ {
    fmt::from_fn(move |f| write!(f, "`{}`", name.replace('`', "``")))
}

/// A string in single quotes, escaped as MySQL reads it.
pub(crate) fn literal(text: &str) -> impl fmt::Display + '_ {
    fmt::from_fn(move |f| escaped(f, text, '\''))
}

/// A string in double quotes, as properties are written.
pub(crate) fn property_text(text: &str) -> impl fmt::Display + '_ {
    fmt::from_fn(move |f| escaped(f, text, '"'))
}

fn escaped(f: &mut fmt::Formatter<'_>, text: &str, quote: char) -> fmt::Result {
    f.write_char(quote)?;
    for c in text.chars() {
        match c {
            '\\' => f.write_str("\\\\")?,
            c if c == quote => {
                f.write_char(quote)?;
                f.write_char(quote)?;
            }
            c => f.write_char(c)?,
        }
    }
    f.write_char(quote)
}

/// Items with `, ` between them.
pub(crate) fn commas<T: fmt::Display>(items: &[T]) -> impl fmt::Display + '_ {
    fmt::from_fn(move |f| {
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            item.fmt(f)?;
        }
        Ok(())
    })
}

/// Names in backticks with `, ` between them.
pub(crate) fn names(items: &[String]) -> impl fmt::Display + '_ {
    fmt::from_fn(move |f| {
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            quoted(item).fmt(f)?;
        }
        Ok(())
    })
}

/// ` PROPERTIES (…)`, or nothing.
pub(crate) fn properties(f: &mut fmt::Formatter<'_>, items: &[Property]) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    write!(f, " PROPERTIES ({})", commas(items))
}

/// ` COMMENT '…'`, or nothing.
pub(crate) fn comment(f: &mut fmt::Formatter<'_>, text: Option<&String>) -> fmt::Result {
    match text {
        Some(text) => write!(f, " COMMENT {}", literal(text)),
        None => Ok(()),
    }
}

/// `yes` when `flag`, else nothing.
pub(crate) fn when(flag: bool, yes: &'static str) -> &'static str {
    if flag { yes } else { "" }
}
