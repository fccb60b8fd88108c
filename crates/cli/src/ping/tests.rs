//! The command's arguments, and recording with a server.

use clap::{Args as _, Command, FromArgMatches as _};

use super::*;

fn options(arguments: &[&str]) -> Result<Options, clap::Error> {
    let command = Options::augment_args(Command::new("ping"));
    Options::from_arg_matches(&command.try_get_matches_from(["ping"].iter().chain(arguments))?)
}

fn targets(arguments: &[&str]) -> Vec<String> {
    options(arguments).unwrap().targets().unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn hosts_are_pinged_by_icmp_unless_told_otherwise_and_each_once() {
    assert_eq!(targets(&["a", "::1", "a", "tcp://a:22"]), ["a", "::1", "tcp://a:22"]);
    assert_eq!(targets(&["a", "::1", "--tcp", "443"]), ["tcp://a:443", "tcp://[::1]:443"]);
    assert_eq!(targets(&["--http", "https://a", "--http", "http://b/c"]), ["https://a/", "http://b/c"]);
    assert_eq!(targets(&["a", "--icmp", "--http", "http://b"]), ["a", "http://b/"]);
}

#[test]
fn bad_arguments_are_refused_with_the_reason() {
    let cases: [(&[&str], &str); 8] = [
        (&[], "required"),
        (&["a b"], "white space"),
        (&["a:80"], "tcp://HOST:PORT"),
        (&["a", "--tcp", "0"], "0"),
        (&["a", "--tcp", "80", "--icmp"], "cannot be used with"),
        (&["a", "--http", "b"], "http://"),
        (&["a", "--count", "0"], "0"),
        (&["a", "--interval", "soon"], "soon"),
    ];
    for (arguments, why) in cases {
        let error = options(arguments).err().unwrap_or_else(|| panic!("{arguments:?}")).to_string();
        assert!(error.contains(why), "{arguments:?}: {error}");
    }
    for arguments in [["a", "--interval", "9ms"], ["a", "--timeout", "0s"], ["a", "--timeout", "2m"]] {
        assert!(options(&arguments).unwrap().pace().is_err(), "{arguments:?}");
    }
}

#[test]
fn the_server_that_holds_the_data_folder_is_found_by_its_note() {
    let folder = tempfile::tempdir().unwrap();
    let address = |note: &str| {
        std::fs::write(folder.path().join("tallybook.lock"), note).unwrap();
        place::holder_address(folder.path())
    };
    let note = "12\ntallybook serve, whose API is at http://127.0.0.1:8090\n";
    assert_eq!(address(note).as_deref(), Some("http://127.0.0.1:8090"));
    let open = "12\ntallybook serve, whose API is at http://0.0.0.0:8090\n";
    assert_eq!(address(open).as_deref(), Some("http://127.0.0.1:8090"));
    assert_eq!(address("12\ntallybook ping\n"), None);
    assert_eq!(place::holder_address(&folder.path().join("none")), None);
}
