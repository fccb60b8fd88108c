//! SQL over HTTP: databases of others, and Tallybook's own.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::running::{Answer, Running, Setup};

async fn start(token: bool) -> (Running, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = if token { Setup::new().token("secret") } else { Setup::new() };
    setup.options.databases = Some(folder.path().join("databases"));
    let own = folder.path().join("tallybook.db");
    let engine = tallybook_sqlite::Engine::open(&own, tallybook_sqlite::Options::default()).unwrap();
    engine.script("CREATE TABLE service (name TEXT); INSERT INTO service VALUES ('shop')").unwrap();
    engine.shutdown().unwrap();
    setup.options.own_database = Some(own);
    (setup.start().await, folder)
}

async fn post(server: &Running, path: &str, body: Value) -> Answer {
    let request = server.client.post(server.api(path)).bearer_auth("secret").json(&body);
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, body: response.json().await.unwrap() }
}

async fn posted(server: &Running, path: &str, body: Value) -> Value {
    let answer = post(server, path, body).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

#[tokio::test]
async fn a_database_is_made_by_its_first_write_and_answers_all_calls() {
    let (server, folder) = start(true).await;
    let missing = post(&server, "/api/v1/databases/notes/query", json!({"sql": "SELECT 1"})).await;
    assert_eq!((missing.status.as_u16(), &missing.body["error"]["code"]), (404, &json!("not_found")));
    let script = "CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT UNIQUE, extra); -- notes";
    let made = posted(&server, "/api/v1/databases/notes/script", json!({"sql": script})).await;
    assert_eq!(made, json!({"statements": 1, "rows": 0}));
    let insert = "INSERT INTO note (text, extra) VALUES (?, ?)";
    let one = json!({"sql": insert, "params": ["a", {"base64": "AAE="}]});
    let done = posted(&server, "/api/v1/databases/notes/execute", one.clone()).await;
    assert_eq!(done, json!({"rows": 1, "last_insert_rowid": 1}));
    let many = json!({"sql": insert, "sets": [["b", 1.5], ["c", null]], "ack": "written"});
    assert_eq!(posted(&server, "/api/v1/databases/notes/execute", many).await["rows"], 2);
    let query = json!({"sql": "SELECT id, text, extra FROM note WHERE id < :top", "params": {"top": 3}, "limit": 10});
    let rows = posted(&server, "/api/v1/databases/notes/query", query).await;
    assert_eq!(rows["columns"], json!(["id", "text", "extra"]));
    assert_eq!(rows["rows"], json!([[1, "a", {"base64": "AAE="}], [2, "b", 1.5]]));
    let steps = json!({"steps": [{"execute": "DELETE FROM note WHERE id = ?", "params": [1]},
        {"query": "SELECT count(*) FROM note"}]});
    let answers = posted(&server, "/api/v1/databases/notes/transaction", steps).await;
    assert_eq!(answers["steps"][0]["rows"], 1);
    assert_eq!(answers["steps"][1]["rows"], json!([[2]]));
    let refused = json!({"steps": [{"execute": "DELETE FROM note"}, {"execute": "INSERT INTO nowhere VALUES (1)"}]});
    let refused = post(&server, "/api/v1/databases/notes/transaction", refused).await;
    assert_eq!((refused.status.as_u16(), &refused.body["error"]["code"]), (400, &json!("invalid_statement")));
    assert_eq!(post(&server, "/api/v1/databases/notes/execute", one).await.status, 200, "the a was deleted");
    let count = posted(&server, "/api/v1/databases/notes/query", json!({"sql": "SELECT count(*) FROM note"})).await;
    assert_eq!(count["rows"], json!([[3]]), "a transaction that fails leaves nothing");
    let stats = server.client.get(server.api("/api/v1/databases/notes/stats")).bearer_auth("secret");
    let stats: Value = stats.send().await.unwrap().json().await.unwrap();
    assert_eq!((&stats["reads"], &stats["errors"]["statement"]), (&json!(2), &json!(1)));
    assert!(folder.path().join("databases/notes.db").exists());
}

#[tokio::test]
async fn what_is_not_allowed_is_refused_with_its_reason() {
    let (server, folder) = start(true).await;
    posted(&server, "/api/v1/databases/notes/script", json!({"sql": "CREATE TABLE note (text UNIQUE)"})).await;
    let other = folder.path().join("other.db").display().to_string();
    let for_ever = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    for (path, sql, status) in [
        ("execute", format!("ATTACH '{other}' AS x"), 403),
        ("execute", format!("VACUUM INTO '{other}'"), 403),
        ("execute", "PRAGMA journal_mode = OFF".to_owned(), 403),
        ("execute", "SELECT load_extension('x')".to_owned(), 403),
        ("query", "DELETE FROM note".to_owned(), 403),
        ("query", for_ever.to_owned(), 408),
        ("query", "SELECT".to_owned(), 400),
        ("query", "SELECT 1; SELECT 2".to_owned(), 400),
        ("execute", "INSERT INTO note VALUES ('a'), ('a')".to_owned(), 409),
    ] {
        let mut body = json!({"sql": sql});
        if path != "script" {
            body["time_limit_ms"] = json!(100);
        }
        let answer = post(&server, &format!("/api/v1/databases/notes/{path}"), body).await;
        assert_eq!(answer.status.as_u16(), status, "{sql}: {}", answer.body);
    }
    for name in ["..%2Ftallybook", "A", "x.db", "%00", "a%20b", "'%3BDROP"] {
        let answer = post(&server, &format!("/api/v1/databases/{name}/execute"), json!({"sql": "SELECT 1"})).await;
        assert_eq!(answer.status.as_u16(), 400, "{name}: {}", answer.body);
    }
    assert!(!folder.path().join("other.db").exists());
}

#[tokio::test]
async fn tallybooks_own_database_is_read_and_nothing_else() {
    let (server, _folder) = start(true).await;
    let rows = posted(&server, "/api/v1/sql", json!({"sql": "SELECT name FROM service"})).await;
    assert_eq!(rows, json!({"columns": ["name"], "rows": [["shop"]], "more": false}));
    for sql in ["DELETE FROM service", "DROP TABLE service", "PRAGMA user_version = 1", "ATTACH 'x' AS x"] {
        let answer = post(&server, "/api/v1/sql", json!({"sql": sql})).await;
        assert_eq!(answer.status, 403, "{sql}: {}", answer.body);
    }
    let rows = posted(&server, "/api/v1/sql", json!({"sql": "SELECT count(*) FROM service"})).await;
    assert_eq!(rows["rows"], json!([[1]]));
}

#[tokio::test]
async fn without_a_token_there_is_no_sql() {
    let (server, folder) = start(false).await;
    for path in ["/api/v1/sql", "/api/v1/databases/notes/execute"] {
        let answer = post(&server, path, json!({"sql": "SELECT 1"})).await;
        assert_eq!(answer.status, 403);
        assert!(answer.body["error"]["message"].as_str().unwrap().contains("API_TOKEN"), "{}", answer.body);
    }
    assert!(!folder.path().join("databases").exists());
}
