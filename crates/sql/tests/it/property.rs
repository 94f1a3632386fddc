//! Statements made at random: each prints to a text that parses to itself.

use cairn_sql::ast::{
    BoundValue, ColumnDef, CreateDatabase, CreateTable, DatabaseName, DefaultValue, Distribution,
    DistributionKind, Grant, GrantObject, KeyClause, KeyModel, Property, TableClauses, TableName,
    TruncateTable, UserName,
};
use cairn_sql::{Statement, parse_statements};
use cairn_types::{ObjectKind, SqlType};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// Any text, with what needs escaping often.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9 _%]{0,8}",
        vec(
            prop_oneof![
                Just('\''),
                Just('"'),
                Just('`'),
                Just('\\'),
                Just('%'),
                Just(';'),
                Just('\n'),
                any::<char>()
            ],
            0..6
        )
        .prop_map(|chars| chars.into_iter().filter(|c| *c != '\0').collect()),
    ]
}

/// Any name: it is always printed in backticks.
fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z_][a-z0-9_]{0,8}", "[a-z`'\" ;.]{1,6}", Just("select".to_owned())]
}

fn properties() -> impl Strategy<Value = Vec<Property>> {
    proptest::collection::btree_map("[a-z.]{1,6}", text(), 0..3).prop_map(|map| {
        map.into_iter()
            .map(|(key, value)| Property { key, value })
            .filter(|property| !property.is_secret())
            .collect()
    })
}

fn table_name() -> impl Strategy<Value = TableName> {
    (option::of((option::of(name()), name())), name()).prop_map(|(database, name)| match database {
        Some((catalog, database)) => TableName { catalog, database: Some(database), name },
        None => TableName::bare(name),
    })
}

fn sql_type() -> impl Strategy<Value = SqlType> {
    prop_oneof![
        Just(SqlType::Boolean),
        Just(SqlType::Int),
        Just(SqlType::LargeInt),
        Just(SqlType::Double),
        Just(SqlType::DateTime),
        Just(SqlType::String),
        (1u8..=38).prop_flat_map(
            |precision| (0..=precision).prop_map(move |scale| SqlType::Decimal { precision, scale })
        ),
        (1u32..=255).prop_map(SqlType::Char),
        (1u32..=1_048_576).prop_map(SqlType::Varchar),
    ]
}

fn default_value() -> impl Strategy<Value = DefaultValue> {
    prop_oneof![
        Just(DefaultValue::Null),
        Just(DefaultValue::CurrentTimestamp),
        text().prop_map(DefaultValue::Text),
        Just(DefaultValue::Function("uuid".to_owned())),
    ]
}

fn column() -> impl Strategy<Value = ColumnDef> {
    (
        name(),
        sql_type(),
        any::<bool>(),
        option::of(Just("SUM".to_owned())),
        option::of(any::<bool>()),
        option::of(default_value()),
        any::<bool>(),
        option::of(text()),
    )
        .prop_map(|(name, ty, key, aggregate, nullable, default, auto_increment, comment)| ColumnDef {
            name,
            ty,
            key,
            aggregate,
            nullable,
            default,
            auto_increment,
            generated: None,
            comment,
        })
}

fn clauses() -> impl Strategy<Value = TableClauses> {
    let model = prop_oneof![
        Just(KeyModel::Duplicate),
        Just(KeyModel::Primary),
        Just(KeyModel::Unique),
        Just(KeyModel::Aggregate)
    ];
    let kind =
        prop_oneof![Just(DistributionKind::Random), vec(name(), 1..3).prop_map(DistributionKind::Hash)];
    (
        option::of((model, vec(name(), 1..3)).prop_map(|(model, columns)| KeyClause { model, columns })),
        option::of(text()),
        option::of(
            (kind, option::of(1u32..=1024)).prop_map(|(kind, buckets)| Distribution { kind, buckets }),
        ),
        vec(name(), 0..3),
        properties(),
    )
        .prop_map(|(key, comment, distribution, order_by, properties)| TableClauses {
            key,
            comment,
            distribution,
            order_by,
            properties,
            ..TableClauses::default()
        })
}

fn user_name() -> impl Strategy<Value = UserName> {
    (text(), text()).prop_map(|(user, host)| UserName { user, host })
}

fn grant_object() -> impl Strategy<Value = GrantObject> {
    let database = || (option::of(name()), name()).prop_map(|(catalog, name)| DatabaseName { catalog, name });
    let kind = || select(vec![ObjectKind::Table, ObjectKind::View, ObjectKind::MaterializedView]);
    prop_oneof![
        Just(GrantObject::System),
        Just(GrantObject::AllCatalogs),
        Just(GrantObject::AllDatabases),
        Just(GrantObject::AllUsers),
        name().prop_map(GrantObject::Catalog),
        vec(database(), 1..3).prop_map(GrantObject::Databases),
        vec(user_name(), 1..3).prop_map(GrantObject::Users),
        (kind(), vec(table_name(), 1..3)).prop_map(|(kind, names)| GrantObject::Named { kind, names }),
        (kind(), option::of(database())).prop_map(|(kind, database)| GrantObject::AllIn { kind, database }),
    ]
}

fn grant() -> impl Strategy<Value = Box<Grant>> {
    (grant_object(), user_name()).prop_flat_map(|(on, user)| {
        let fitting = on.kind().privileges();
        option::of(subsequence(fitting, 1..=fitting.len()).prop_shuffle())
            .prop_map(move |privileges| Box::new(Grant { privileges, on: on.clone(), user: user.clone() }))
    })
}

fn statement() -> impl Strategy<Value = Statement> {
    prop_oneof![
        (table_name(), any::<bool>(), vec(column(), 1..4), clauses()).prop_map(
            |(name, if_not_exists, columns, clauses)| Statement::CreateTable(Box::new(CreateTable {
                temporary: false,
                external: false,
                if_not_exists,
                name,
                columns,
                indexes: vec![],
                clauses,
                query: None,
            }))
        ),
        (any::<bool>(), option::of(name()), name(), properties()).prop_map(
            |(if_not_exists, catalog, name, properties)| Statement::CreateDatabase(CreateDatabase {
                if_not_exists,
                name: DatabaseName { catalog, name },
                properties,
            })
        ),
        (table_name(), vec(name(), 0..3))
            .prop_map(|(name, partitions)| Statement::TruncateTable(TruncateTable { name, partitions })),
        grant().prop_map(Statement::Grant),
        grant().prop_map(Statement::Revoke),
        user_name().prop_map(Statement::ExecuteAs),
    ]
}

proptest! {
    #[test]
    fn a_printed_statement_parses_to_itself(statement in statement()) {
        let printed = statement.to_string();
        let parsed = parse_statements(&printed);
        prop_assert!(parsed.as_ref().is_ok_and(|p| p.len() == 1 && p[0].statement == statement), "{printed}\n{parsed:?}");
    }

    #[test]
    fn any_string_survives_a_query(value in text(), other in text()) {
        let literal = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
        let sql = format!("SELECT {}, {}", literal(&value), literal(&other));
        let first = parse_statements(&sql).map(|p| p[0].statement.clone());
        prop_assert!(first.is_ok(), "{sql}: {first:?}");
        let printed = first.as_ref().map(ToString::to_string).unwrap_or_default();
        let second = parse_statements(&printed).map(|p| p[0].statement.clone());
        prop_assert_eq!(first, second, "{}", printed);
    }

    #[test]
    fn no_text_panics(sql in "[a-zA-Z0-9 ,.;()'\"`@#*/!=<>+\\[\\]{}:?-]{0,60}") {
        let _ = parse_statements(&sql);
    }

    #[test]
    fn no_words_panic(words in vec(prop_oneof![
        Just("SELECT"), Just("CREATE"), Just("TABLE"), Just("ALTER"), Just("SHOW"), Just("SET"), Just("("), Just(")"),
        Just("a"), Just("'x'"), Just("1"), Just(","), Just("="), Just("@"), Just("PARTITION"), Just("BY"), Just("FROM"),
        Just("INTERVAL"), Just("DAY"), Just("CASE"), Just("END"), Just("["), Just("VALUES"), Just("PROPERTIES"), Just("AS"),
        Just("MATERIALIZED VIEW"), Just("REFRESH"), Just("SUBMIT TASK"), Just("EVERY"), Just("INSERT INTO"),
        Just("GRANT"), Just("REVOKE"), Just("ALL"), Just("ON"), Just("TO"), Just("USER"), Just("*"), Just("."),
    ], 0..14)) {
        let _ = parse_statements(&words.join(" "));
    }

    #[test]
    fn bounds_survive(values in vec(prop_oneof![Just(BoundValue::Null), text().prop_map(BoundValue::Text)], 1..4)) {
        let rows: Vec<String> = values.iter().map(ToString::to_string).collect();
        let sql = format!("ALTER TABLE t ADD PARTITION p VALUES IN ({})", rows.join(", "));
        let parsed = parse_statements(&sql).map(|p| p[0].statement.clone());
        let printed = parsed.as_ref().map(ToString::to_string).unwrap_or_default();
        prop_assert_eq!(&parsed, &parse_statements(&printed).map(|p| p[0].statement.clone()), "{}", printed);
    }
}
