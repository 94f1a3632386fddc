//! What a print holds: secrets never, and exactly the words that read it back.

use cairn_sql::Statement;
use cairn_sql::ast::{AuthOption, KillTarget, SetItem, SetValue, UserName, VariableScope};

use super::one;

#[test]
fn secrets_are_not_printed() {
    for sql in [
        "CREATE USER u IDENTIFIED BY 'hunter2'",
        "CREATE USER u IDENTIFIED BY PASSWORD 'hunter2'",
        "ALTER USER u IDENTIFIED WITH mysql_native_password BY 'hunter2'",
        "ALTER USER u IDENTIFIED WITH mysql_native_password AS 'hunter2'",
        "SET PASSWORD = PASSWORD('hunter2')",
        "SET PASSWORD FOR 'u'@'h' = 'hunter2'",
        "CREATE STORAGE VOLUME v TYPE = S3 LOCATIONS = ('s3://b') PROPERTIES (\"aws.s3.secret_key\" = \"hunter2\")",
        "ALTER STORAGE VOLUME v SET (\"aws.s3.access_key\" = \"hunter2\")",
        "INSERT INTO FILES(\"path\"=\"x\", \"aws.s3.secret_key\"=\"hunter2\") SELECT 1",
        "SELECT * FROM FILES(\"path\"=\"x\", \"aws.s3.secret_key\"=\"hunter2\")",
        "EXPLAIN SELECT (SELECT COUNT(*) FROM FILES(\"path\"=\"x\", \"AWS.S3.Session_Token\"=\"hunter2\"))",
        "SUBMIT TASK AS INSERT INTO t SELECT * FROM FILES(\"path\"=\"x\", \"aws.s3.secret_key\"=\"hunter2\")",
        "CREATE TABLE t AS SELECT * FROM FILES(\"path\"=\"x\", \"azure.blob.shared_key\"=\"hunter2\")",
        "DESC FILES(\"path\"=\"x\", \"gcp.gcs.service_account_private_key\"=\"hunter2\")",
        "ADMIN SET FRONTEND CONFIG (\"ldap_password\" = \"hunter2\")",
    ] {
        let statement = one(sql);
        let printed = statement.to_string();
        assert!(!printed.contains("hunter2") && printed.contains("***"), "{sql} printed as {printed}");
        // What is masked still parses, and to the same form.
        assert_eq!(one(&printed).to_string(), printed, "{sql}");
    }
    let Statement::CreateUser(user) = one("CREATE USER u IDENTIFIED BY 'hunter2'") else { panic!() };
    assert!(!format!("{user:?}").contains("hunter2"));
    assert_eq!(user.auth, Some(AuthOption::Plain { plugin: None, password: "hunter2".into() }));
}

#[test]
fn users_are_read_in_every_spelling() {
    for (sql, user, host) in [
        ("u", "u", "%"),
        ("'u'", "u", "%"),
        ("`u`", "u", "%"),
        ("u@h", "u", "h"),
        ("'u'@'h'", "u", "h"),
        ("'u'@h.example.com", "u", "h.example.com"),
        ("u@'10.0.0.%'", "u", "10.0.0.%"),
        ("`u`@`h`", "u", "h"),
        ("u@%", "u", "%"),
        ("'a@b'", "a@b", "%"),
        ("'a@b'@'c'", "a@b", "c"),
    ] {
        let Statement::DropUser(found) = one(&format!("DROP USER {sql}")) else { panic!("{sql}") };
        assert_eq!(found.user, UserName { user: user.into(), host: host.into() }, "{sql}");
    }
}

#[test]
fn set_tells_words_from_expressions() {
    let Statement::Set(items) = one("SET a = on, GLOBAL B = 'x', @@global.c = DEFAULT, @D = 1") else {
        panic!()
    };
    let variable = |i: usize| match &items[i] {
        SetItem::Variable { scope, name, value } => (*scope, name.as_str(), value),
        other => panic!("{other:?}"),
    };
    assert_eq!(variable(0), (VariableScope::Session, "a", &SetValue::Word("on".into())));
    assert!(matches!(variable(1), (VariableScope::Global, "b", SetValue::Expr(_))));
    assert_eq!(variable(2), (VariableScope::Global, "c", &SetValue::Default));
    assert!(matches!(&items[3], SetItem::User { name, .. } if name == "D"));
}

#[test]
fn kill_takes_numbers_and_query_ids() {
    let Statement::Kill(kill) = one("KILL QUERY '7f3a'") else { panic!() };
    assert_eq!((kill.query_only, kill.target), (true, KillTarget::QueryId("7f3a".into())));
    let Statement::Kill(kill) = one("KILL 7") else { panic!() };
    assert_eq!((kill.query_only, kill.target), (false, KillTarget::Connection(7)));
}
