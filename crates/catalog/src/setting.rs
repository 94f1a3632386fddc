//! Settings that were changed at run time. Their names, types and defaults are the server's; the catalog keeps text.

use crate::{Catalog, Outcome, Reply};

impl Catalog {
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Outcome {
        self.settings.insert(name.to_owned(), value.to_owned());
        Ok(Reply::Done)
    }
}
