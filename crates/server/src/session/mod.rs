//! One client's session: its variables, its prepared statements, and the running of statements.

mod hints;
pub mod transaction;
pub mod variables;

use std::collections::HashMap;
use std::sync::Arc;

use cairn_catalog::{Catalog, Object, ROOT};
use cairn_exec::QueryContext;
use cairn_sql::ast::{
    DatabaseName, Execute, Hint, Kill, KillTarget, SetItem, SetValue, Statement, VariableScope,
};
use cairn_sql::{ParsedStatement, parse_statements};
use cairn_types::{Error, Privilege, Result};
use sqlparser::ast::{Expr, Value};

use crate::analyze;
use crate::answer::Answer;
use crate::node::{Node, VERSION};
use crate::queries::{Activity, SessionGuard};
use crate::statement;
use transaction::Transaction;
use variables::{Facts, Variables};

/// A session.
pub struct Session {
    pub node: Arc<Node>,
    pub user: String,
    /// Empty: none is selected.
    pub database: String,
    pub variables: Variables,
    pub transaction: Transaction,
    pub(crate) guard: SessionGuard,
    /// By the number that the client uses.
    pub(crate) prepared: HashMap<u32, Statement>,
    /// By the name of `PREPARE name FROM …`.
    named: HashMap<String, String>,
    last_query_id: String,
}

impl Session {
    #[must_use]
    pub fn new(node: Arc<Node>, guard: SessionGuard) -> Self {
        Self {
            user: guard.entry.user.clone(),
            database: String::new(),
            variables: Variables::default(),
            transaction: Transaction::default(),
            guard,
            prepared: HashMap::new(),
            named: HashMap::new(),
            last_query_id: String::new(),
            node,
        }
    }

    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        self.node.catalog()
    }

    /// The catalog as the session's user may know it: what listings and descriptions are made from.
    #[must_use]
    pub fn seen(&self) -> Arc<Catalog> {
        self.catalog().seen_by(&self.user)
    }

    /// That the session's user has `privilege` on the system.
    ///
    /// # Errors
    /// `PrivilegeDenied`.
    pub fn require_system(&self, privilege: Privilege) -> Result<()> {
        self.catalog().require(&self.user, privilege, Object::System)
    }

    /// Back to the state of a new login.
    pub fn reset(&mut self) {
        self.variables = Variables::default();
        self.transaction = Transaction::default();
        self.prepared.clear();
        self.named.clear();
    }

    /// `USE name`, where `name` may be `catalog.database`.
    ///
    /// # Errors
    /// `UnknownDatabase`.
    pub fn use_database(&mut self, name: &DatabaseName) -> Result<()> {
        let name = analyze::database_name(name)?;
        if !self.node.engine.is_system_database(name) {
            analyze::find_database(&self.seen(), name)?;
        }
        self.database = name.to_owned();
        Ok(())
    }

    /// Runs one statement.
    ///
    /// # Errors
    /// Whatever the statement meets.
    pub async fn run(&mut self, parsed: &ParsedStatement) -> Result<Answer> {
        self.begin_activity(&parsed.statement);
        let timer = self.node.env.stopwatch();
        let outcome = statement::run(self, parsed).await;
        self.node.metrics.statement(timer.elapsed(), outcome.is_ok());
        if let Err(error) = &outcome {
            tracing::info!(user = %self.user, statement = %cut(&parsed.statement.to_string()), %error, "statement failed");
        }
        outcome
    }

    /// Marks what runs now, for others to see. Secrets are masked by the statement's own text.
    pub(crate) fn begin_activity(&mut self, statement: &Statement) {
        self.last_query_id = query_id(&self.node);
        self.guard.entry.set_activity(Activity {
            database: self.database.clone(),
            statement: cut(&statement.to_string()),
            query_id: self.last_query_id.clone(),
            since_ms: self.node.env.now_ms(),
        });
    }

    /// Marks that nothing runs.
    pub(crate) fn end_activity(&self) {
        let since_ms = self.node.env.now_ms();
        self.guard.entry.set_activity(Activity {
            database: self.database.clone(),
            since_ms,
            ..Activity::default()
        });
    }

    /// Whether each statement is committed without being asked for.
    #[must_use]
    pub fn autocommit(&self) -> bool {
        self.variables.number(&self.catalog(), "autocommit") == 1
    }

    /// Marks that a statement changed rows.
    pub(crate) fn wrote(&mut self) {
        let autocommit = self.autocommit();
        self.transaction.wrote(autocommit);
    }

    /// What a query of this session is planned on, with `hints` on top of the session's variables.
    ///
    /// # Errors
    /// `Analysis` for a hint that sets no variable.
    pub fn context(&self, catalog: &Arc<Catalog>, hints: &[Hint]) -> Result<(QueryContext, u64)> {
        let mut variables = self.variables.clone();
        for hint in hints {
            variables.set(&hint.name, Some(&hint.value))?;
        }
        let facts = Arc::new(self.facts(catalog, &variables));
        let mut context = self.node.engine.context(Arc::clone(catalog), &self.database, &self.user, facts);
        let parallelism = usize::try_from(variables.number(catalog, "pipeline_dop")).unwrap_or(0);
        context.parallelism = if parallelism == 0 { self.node.limits.parallelism } else { parallelism };
        context.memory_bytes_max = usize::try_from(variables.number(catalog, "query_mem_limit")).unwrap_or(0);
        context.mviews = crate::mview::source::options(&variables, catalog, self.node.env.now_ms())?;
        Ok((context, variables.number(catalog, "query_timeout").max(1)))
    }

    fn facts(&self, catalog: &Arc<Catalog>, variables: &Variables) -> Facts {
        let text = |s: &str| Value::SingleQuotedString(s.to_owned());
        let user = format!("'{}'@'{}'", self.user, self.guard.entry.host);
        let database = if self.database.is_empty() { Value::Null } else { text(&self.database) };
        let functions = vec![
            ("database", database.clone()),
            ("schema", database),
            ("catalog", text(cairn_exec::DEFAULT_CATALOG)),
            ("version", text(&variables.get(catalog, "version").unwrap_or_default())),
            ("current_version", text(VERSION)),
            ("user", text(&user)),
            ("current_user", text(&self.identity(catalog))),
            ("session_user", text(&user)),
            ("connection_id", Value::Number(self.guard.entry.id.to_string(), false)),
            ("last_query_id", text(&self.last_query_id)),
            ("current_role", text(if self.user == ROOT { ROOT } else { "NONE" })),
        ];
        Facts { variables: variables.clone(), catalog: Arc::clone(catalog), functions }
    }

    /// `'user'@'host'`, as the user was made.
    fn identity(&self, catalog: &Catalog) -> String {
        catalog.user(&self.user).map_or_else(|| format!("'{}'@'%'", self.user), |user| user.identity())
    }

    /// `SET …`.
    ///
    /// # Errors
    /// `Analysis` for an unknown variable or a value that is none.
    pub async fn set(&mut self, items: &[SetItem]) -> Result<Answer> {
        for item in items {
            match item {
                SetItem::Variable { scope, name, value } => self.set_variable(*scope, name, value).await?,
                SetItem::User { name, value } => {
                    let value = self.constant(value).await?;
                    self.variables.set_user(name, value);
                }
                SetItem::Names { charset, .. } | SetItem::CharacterSet(charset) => {
                    for name in ["character_set_client", "character_set_connection", "character_set_results"]
                    {
                        self.variables.set(name, charset.as_deref())?;
                    }
                }
                SetItem::Transaction { isolation, .. } => {
                    if let Some(isolation) = isolation {
                        let isolation = isolation.replace(' ', "-");
                        self.variables.set("transaction_isolation", Some(&isolation))?;
                        self.variables.set("tx_isolation", Some(&isolation))?;
                    }
                }
            }
        }
        Ok(Answer::done())
    }

    async fn set_variable(&mut self, scope: VariableScope, name: &str, value: &SetValue) -> Result<()> {
        let value = match value {
            SetValue::Default => None,
            SetValue::Word(word) => Some(word.clone()),
            SetValue::Expr(expr) => Some(match self.constant(expr).await? {
                // `SET character_set_results = NULL`: as the server has it.
                Value::Null => return self.variables.set(name, None),
                Value::SingleQuotedString(text) | Value::Number(text, _) => text,
                other => other.to_string(),
            }),
        };
        match (scope, value) {
            (VariableScope::Session, value) => self.variables.set(name, value.as_deref()),
            (VariableScope::Global, Some(value)) => {
                self.require_system(Privilege::Operate)?;
                let (name, value) = variables::global(name, &value)?;
                self.node.propose(cairn_catalog::Command::Set { name, value }).await.map(|_| ())
            }
            (VariableScope::Global, None) => {
                Err(Error::unsupported("SET GLOBAL … = DEFAULT is not supported: name the value"))
            }
        }
    }

    /// The value of an expression that reads no table.
    async fn constant(&self, expr: &Expr) -> Result<Value> {
        if let Expr::Value(value) = expr {
            return Ok(value.value.clone());
        }
        let rows = statement::query::evaluate(self, expr).await?;
        let value = rows.first().and_then(|row| row.first()).cloned().flatten();
        Ok(value.map_or(Value::Null, |text| match text.parse::<f64>() {
            Ok(_) => Value::Number(text, false),
            Err(_) => Value::SingleQuotedString(text),
        }))
    }

    /// `KILL …`.
    ///
    /// # Errors
    /// `NotFound`, `PrivilegeDenied`.
    pub fn kill(&self, kill: &Kill) -> Result<Answer> {
        let id = match &kill.target {
            KillTarget::Connection(id) => *id,
            KillTarget::QueryId(query) => {
                let running = self.node.sessions.running(query);
                running.ok_or_else(|| Error::not_found(format!("Unknown query id: {query}")))?.into()
            }
        };
        let all = self.require_system(Privilege::Operate).is_ok();
        self.node.sessions.kill(id, kill.query_only, &self.user, all)?;
        Ok(Answer::done())
    }

    /// `PREPARE name FROM 'text'`.
    ///
    /// # Errors
    /// `Parse`; `Unsupported` for a statement about prepared statements.
    pub fn prepare_named(&mut self, name: &str, text: &str) -> Result<Answer> {
        // One that executes itself would never end.
        if let nested @ (Statement::Prepare { .. } | Statement::Execute(_) | Statement::Deallocate { .. }) =
            single_statement(text)?.statement
        {
            return Err(Error::unsupported(format!("'{nested}' cannot be prepared")));
        }
        self.named.insert(name.to_lowercase(), text.to_owned());
        Ok(Answer::done())
    }

    /// The statement that `EXECUTE name USING @a, …` runs.
    ///
    /// # Errors
    /// `NotFound` for an unknown name; `Analysis` for a wrong number of values.
    pub fn bound(&self, execute: &Execute) -> Result<ParsedStatement> {
        let text = self.named.get(&execute.name.to_lowercase());
        let text =
            text.ok_or_else(|| Error::not_found(format!("Unknown prepared statement '{}'", execute.name)))?;
        let mut parsed = single_statement(text)?;
        let value = |name: &String| self.variables.user(name).cloned().unwrap_or(Value::Null);
        let values = execute.using.iter().map(value).collect::<Vec<_>>();
        bind(&mut parsed.statement, values)?;
        Ok(parsed)
    }

    /// `DEALLOCATE PREPARE name`.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn deallocate(&mut self, name: &str) -> Result<Answer> {
        match self.named.remove(&name.to_lowercase()) {
            Some(_) => Ok(Answer::done()),
            None => Err(Error::not_found(format!("Unknown prepared statement '{name}'"))),
        }
    }
}

/// Puts `values` in place of the `?` of a statement.
///
/// # Errors
/// `Analysis` for a wrong number of values.
pub fn bind(statement: &mut Statement, values: Vec<Value>) -> Result<()> {
    let values = values.into_iter().map(|v| Expr::Value(v.with_empty_span())).collect();
    cairn_sql::bind_placeholders(statement, values)
}

/// The one statement that `text` must be.
///
/// # Errors
/// `Parse`.
pub fn single_statement(text: &str) -> Result<ParsedStatement> {
    let mut statements = parse_statements(text)?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        _ => Err(Error::parse("exactly one statement can be prepared")),
    }
}

/// A new id of a query, in StarRocks' form.
pub(crate) fn query_id(node: &Node) -> String {
    let hex = node.env.random_hex();
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32))
}

/// Long statements are shown in part.
fn cut(text: &str) -> String {
    const CHARS_MAX: usize = 1_000;
    match text.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}
