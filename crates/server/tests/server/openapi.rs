//! The OpenAPI document: as it was reviewed, and true.

use serde_json::{Value, json};
use tallybook_core::Timestamp;

use crate::catalogue::Catalogue;
use crate::executions;
use crate::running::Running;

#[test]
fn the_document_is_as_it_was_reviewed() {
    insta::assert_snapshot!(tallybook_server::openapi_json());
}

#[tokio::test]
async fn every_documented_address_answers_and_every_operation_has_a_name_of_its_own() {
    let server = Running::start().await;
    Catalogue::shop().put_into(&*server.store).await;
    put_ping(&server).await;
    executions::built(&server).await;
    let document = server.ok("/api/v1/openapi.json").await;
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let named = |operation: &Value| operation["operationId"].as_str().unwrap().to_owned();
        operations.extend(item.as_object().unwrap().values().map(named));
        let Some(get) = item.get("get") else { continue };
        // Answered only with a data folder or a token: see `sql`, and the tests of the whole binary.
        if path.starts_with("/api/v1/databases/")
            || ["/api/v1/doctor", "/api/v1/commands"].contains(&path.as_str())
            || path.ends_with("{artifact}")
        {
            continue;
        }
        let example = path
            .replace("services/{name}", "services/cart")
            .replace("metrics/{name}", "metrics/up")
            .replace("spans/{name}", "spans/mail")
            .replace("executions/{id}", &format!("executions/{}", executions::ID))
            .replace("{severity}", "INFO")
            .replace("{key}", "pod")
            .replace("{target}", "host")
            + &needed(get);
        let response = server.client.get(server.api(&example)).send().await.unwrap();
        assert_eq!(response.status(), 200, "{example}");
        let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        let mut documented = get["responses"]["200"]["content"].as_object().unwrap().keys();
        let documented = documented.find(|known| content_type.starts_with(known.as_str()));
        let documented = documented.unwrap_or_else(|| panic!("{path}: {content_type}"));
        if documented == "application/json" && !path.ends_with("openapi.json") {
            let schema = &get["responses"]["200"]["content"][documented]["schema"];
            conforms(&document, schema, &response.json().await.unwrap(), path);
        }
    }
    let count = operations.len();
    operations.sort();
    operations.dedup();
    assert_eq!(operations.len(), count);
}

/// The query with every parameter that an operation cannot be without.
fn needed(operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let needed = parameters.filter(|parameter| parameter["in"] == "query" && parameter["required"] == true);
    let pairs: Vec<String> = needed
        .map(|parameter| match parameter["name"].as_str().unwrap() {
            "timeframe" => "timeframe=1m".to_owned(),
            name => format!("{name}=host"),
        })
        .collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

async fn put_ping(server: &Running) {
    let ping = json!({ "target": "host", "timestamp": Timestamp::now().to_string(), "latency_ms": 1 });
    let response = server.client.post(server.api("/api/v1/pings")).json(&ping).send().await.unwrap();
    assert_eq!(response.status(), 200);
}

/// Whether `value` has what `schema` requires, nothing it does not know, and the types it says.
fn conforms(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.strip_prefix("#/components/schemas/").unwrap();
        return conforms(document, &document["components"]["schemas"][name], value, at);
    }
    if schema.get("allOf").is_some() || schema.get("oneOf").is_some() {
        // The parts of one object, none of which knows all of it; or one of several.
        return;
    }
    let types = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        other => panic!("{at}: no type in {other}"),
    };
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() && types.contains(&"integer") => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(types.contains(&is), "{at}: {value} is no {types:?}");
    if let Some(choices) = schema["enum"].as_array() {
        assert!(choices.contains(value), "{at}: {value}");
    }
    if let Value::Array(items) = value {
        for item in items {
            conforms(document, &schema["items"], item, at);
        }
    }
    // One that names no field takes any: facts that jobs tell of themselves.
    let is_free = schema.get("properties").is_none() && schema.get("additionalProperties").is_none();
    if let Value::Object(fields) = value
        && !is_free
    {
        for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            assert!(fields.contains_key(required), "{at}: {required} is missing");
        }
        for (field, value) in fields {
            let known = schema["properties"].get(field).or(schema.get("additionalProperties"));
            let known = known.unwrap_or_else(|| panic!("{at}: {field} is not documented"));
            conforms(document, known, value, &format!("{at} {field}"));
        }
    }
}
