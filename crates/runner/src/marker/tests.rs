//! Markers, line by line.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn step(name: &str, stop_on_error: bool, expected_s: Option<u64>, parameters: Value) -> Marker {
    let Value::Object(parameters) = parameters else { panic!("parameters are an object") };
    Marker::StepStart { name: name.into(), stop_on_error, expected: expected_s.map(Duration::from_secs), parameters }
}

fn annotation(level: AnnotationLevel, message: &str) -> Marker {
    Marker::Annotation { level, message: message.into() }
}

#[test]
fn steps_have_options_and_typed_parameters() {
    let cases = [
        ("STEP_START:Build", step("Build", false, None, json!({}))),
        ("step_start: Build all \r", step("Build all", false, None, json!({}))),
        ("STEP_START:Build [stop_on_error=true][duration=60]", step("Build", true, Some(60), json!({}))),
        ("STEP_START:Build[stop_on_error=false] [duration=5m]", step("Build", false, Some(300), json!({}))),
        (
            "STEP_START:Load {rows:100, ratio:0.5, fast:true, from:s3, name:'a, b'}",
            step("Load", false, None, json!({"rows": 100, "ratio": 0.5, "fast": true, "from": "s3", "name": "a, b"})),
        ),
        (
            r#"STEP_START:Load {"rows": 100, "in": {"deep": [1, null]}} --dry=true"#,
            step("Load", false, None, json!({"rows": 100, "in": {"deep": [1, null]}, "dry": true})),
        ),
        (
            r#"STEP_START:Deploy to eu-1 --env=prod --title="hello you" --replicas=3 --sha=0071"#,
            step(
                "Deploy to eu-1",
                false,
                None,
                json!({"env": "prod", "title": "hello you", "replicas": 3, "sha": "0071"}),
            ),
        ),
        ("STEP_START:A [retries=3] {k:v}", step("A", false, None, json!({"retries": 3, "k": "v"}))),
        ("STEP_START:{}", step("{}", false, None, json!({}))),
    ];
    for (line, expected) in cases {
        let found = Marker::parse(line.as_bytes());
        if line == "STEP_START:{}" {
            assert_eq!(found, None, "{line}: options without a name");
        } else {
            assert_eq!(found, Some(expected), "{line}");
        }
    }
}

#[test]
fn what_does_not_read_as_options_belongs_to_the_name() {
    let cases = [
        ("STEP_START:Build [linux]", "Build [linux]"),
        ("STEP_START:Build [stop_on_error=perhaps]", "Build [stop_on_error=perhaps]"),
        ("STEP_START:Test {a:b", "Test {a:b"),
        ("STEP_START:Test --fast", "Test --fast"),
        ("STEP_START:a -- b", "a -- b"),
        ("STEP_START:Array [1] [duration=2] more", "Array [1] [duration=2] more"),
        ("STEP_START:Übung macht 🦀", "Übung macht 🦀"),
        ("STEP_START:http://host:80/x", "http://host:80/x"),
    ];
    for (line, name) in cases {
        assert_eq!(Marker::parse(line.as_bytes()), Some(step(name, false, None, json!({}))), "{line}");
    }
}

#[test]
fn the_other_markers() {
    let cases = [
        ("STEP_COMPLETE:Build", Marker::StepComplete { name: "Build".into() }),
        ("Step_Error:no space: left", Marker::StepError { text: "no space: left".into() }),
        (
            "ARTIFACT:out/report.html:The report: final",
            Marker::Artifact { path: "out/report.html".into(), description: "The report: final".into() },
        ),
        ("artifact:out", Marker::Artifact { path: "out".into(), description: String::new() }),
        ("META:rows:120", Marker::Meta { key: "rows".into(), value: "120".into() }),
        ("META:url:http://a:1", Marker::Meta { key: "url".into(), value: "http://a:1".into() }),
        ("META:empty:", Marker::Meta { key: "empty".into(), value: String::new() }),
        ("::group::Install", Marker::GroupStart { name: "Install".into() }),
        ("::endgroup::", Marker::GroupEnd),
        ("::add-mask::s3cret", Marker::AddMask { value: "s3cret".into() }),
        ("::ERROR::it broke", annotation(AnnotationLevel::Error, "it broke")),
        ("::error file=a.rs::no", annotation(AnnotationLevel::Error, "a.rs: no")),
        (
            "::warning file=app.js,line=3,col=5,title=Look%2C here::50%25 of%0Alines %250A",
            annotation(AnnotationLevel::Warning, "app.js:3: Look, here: 50% of\nlines %0A"),
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(Marker::parse(line.as_bytes()), Some(expected), "{line}");
    }
}

#[test]
fn a_line_that_only_resembles_a_marker_is_none() {
    let lines = [
        "",
        " STEP_START:Build",
        "\tMETA:a:b",
        "xSTEP_START:Build",
        "STEP_START",
        "STEP_START:",
        "STEP_START:   ",
        "STEP_STARTED:Build",
        "STEP_COMPLETE:",
        "STEP_ERROR:",
        "STEP-START:Build",
        "ARTIFACT:",
        "ARTIFACT::text",
        "META:key",
        "META::value",
        "META: a key: value",
        "Meta: the thing: it",
        "::",
        "::group::",
        "::group",
        ":: error::x",
        "::error file::x",
        "::debug::x",
        "::notice::x",
        "::set-output name=a::b",
        "note: STEP_START:Build",
        "[STEP_START:Build]",
    ];
    for line in lines {
        assert_eq!(Marker::parse(line.as_bytes()), None, "{line:?}");
    }
    assert_eq!(Marker::parse(b"STEP_START:\xff\xfe"), None);
    assert_eq!(Marker::parse(format!("STEP_START:{}", "x".repeat(MAX_MARKER_BYTES)).as_bytes()), None);
}

proptest! {
    #[test]
    fn nothing_that_is_printed_breaks_the_parser(line in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Marker::parse(&line);
    }

    #[test]
    fn nothing_behind_a_marker_breaks_the_parser(
        word in prop::sample::select(vec!["STEP_START:", "META:", "ARTIFACT:", "::error ", "::group::"]),
        rest in "[a-z\\[\\]{}:=,\"' -é]{0,60}",
    ) {
        let _ = Marker::parse(format!("{word}{rest}").as_bytes());
    }

    #[test]
    fn parameters_come_back_as_they_were_given(
        name in "[A-Za-z][A-Za-z ]{0,20}[A-Za-z]",
        numbers in prop::collection::btree_map("[a-z]{1,8}", any::<i64>(), 0..5),
    ) {
        let braces: Vec<String> = numbers.iter().map(|(key, number)| format!("{key}:{number}")).collect();
        let flags: Vec<String> = numbers.iter().map(|(key, number)| format!("--{key}={number}")).collect();
        for behind in [format!("{{{}}}", braces.join(",")), flags.join(" ")] {
            let Some(Marker::StepStart { name: found, parameters, .. }) =
                Marker::parse(format!("STEP_START:{name} {behind}").as_bytes()) else { panic!("no step") };
            prop_assert_eq!(&found, &name);
            prop_assert_eq!(parameters, numbers.iter().map(|(key, number)| (key.clone(), json!(number))).collect());
        }
    }
}
