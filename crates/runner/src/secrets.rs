//! Secrets: what looks like one is masked before anything is recorded.

use std::borrow::Cow;

use regex::bytes::Regex;

/// What stands where a secret was.
pub const MASK: &[u8] = b"***";
/// A shorter value is masked nowhere: it would be found in ordinary words.
const MIN_SECRET_BYTES: usize = 6;
/// Values that are masked at the most.
const MAX_SECRETS: usize = 1_000;

/// Names of variables whose values are secret, by a part of the name.
const SECRET_NAMES: &[&str] = &[
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "CREDENTIAL",
    "API_KEY",
    "APIKEY",
    "PRIVATE_KEY",
    "ACCESS_KEY",
];

/// Secrets by their form. Where there is a group, it is the secret; else the whole is.
const PATTERNS: &[&str] = &[
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    r"\bgh[pousr]_[0-9A-Za-z]{36,}\b",
    r"\bgithub_pat_[0-9A-Za-z_]{22,}\b",
    r"\bglpat-[0-9A-Za-z_-]{20,}",
    r"\bxox[abeoprs]-[0-9A-Za-z-]{10,}",
    r"\bsk-[0-9A-Za-z_-]{20,}",
    r"\b[sr]k_(?:live|test)_[0-9A-Za-z]{16,}\b",
    r"\bAIza[0-9A-Za-z_-]{35}\b",
    r"\bnpm_[0-9A-Za-z]{36}\b",
    r"\beyJ[0-9A-Za-z_-]{8,}\.eyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]+",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[0-9A-Za-z+/=\s]*(?:-----END [A-Z ]*-----)?",
    r"://[^\s/:@]+:([^\s/@]+)@",
    r"(?:[Bb]earer|[Bb]asic) ([0-9A-Za-z._~+/=-]{12,})",
    r#"(?:[Pp]assword|PASSWORD|[Pp]asswd|PASSWD|[Ss]ecret|SECRET|[Tt]oken|TOKEN|[Aa]pi[_-]?[Kk]ey|API_?KEY|[Aa]ccess[_-]?[Kk]ey|ACCESS_?KEY)["']?[ \t]*[=:][ \t]*["']?([^\s"'&,;]{6,})"#,
];

/// Finds secrets.
#[derive(Debug)]
pub struct Secrets {
    values: Vec<Vec<u8>>,
    found: Regex,
}

impl Secrets {
    /// Those with a known form, and these values, such as those of variables with secret names.
    pub fn new(values: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut known = Vec::new();
        learn(&mut known, values);
        Self { found: compile(&known), values: known }
    }

    /// The values of this process's variables whose names say that they are secret.
    pub fn of_environment() -> Self {
        use std::os::unix::ffi::OsStringExt as _;
        let secret = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            is_secret_name(&name.to_string_lossy()).then(|| value.into_vec())
        };
        Self::new(std::env::vars_os().filter_map(secret))
    }

    /// Masks this value from now on, too; each line of it, where it has several.
    pub fn add(&mut self, value: &str) {
        let known = self.values.len();
        learn(&mut self.values, [value.as_bytes().to_vec()]);
        if self.values.len() > known {
            self.found = compile(&self.values);
        }
    }

    /// The text without its secrets.
    pub fn mask<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let mut masked = Vec::new();
        let mut copied = 0;
        for found in self.found.captures_iter(text) {
            let secret = found.iter().skip(1).flatten().next().or(found.get(0)).expect("a match is a group");
            masked.extend_from_slice(&text[copied..secret.start()]);
            masked.extend_from_slice(MASK);
            // No line is lost, and none comes to be.
            let feeds = memchr::memchr_iter(b'\n', secret.as_bytes()).count();
            (0..feeds).for_each(|_| masked.extend_from_slice(b"\n***"));
            copied = secret.end();
        }
        if copied == 0 {
            return Cow::Borrowed(text);
        }
        masked.extend_from_slice(&text[copied..]);
        Cow::Owned(masked)
    }

    /// The text without its secrets.
    pub fn mask_str(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.mask(text.as_bytes())).into_owned()
    }
}

fn learn(known: &mut Vec<Vec<u8>>, values: impl IntoIterator<Item = Vec<u8>>) {
    for value in values {
        for line in value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
            let is_new = line.len() >= MIN_SECRET_BYTES && !known.iter().any(|value| value == line);
            if is_new && known.len() < MAX_SECRETS {
                known.push(line.to_vec());
            }
        }
    }
}

/// Whether the value of a variable of this name is a secret.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_NAMES.iter().any(|part| name.contains(part))
}

/// The values come first and the longest before what it begins with, so that nothing of it is left.
fn compile(values: &[Vec<u8>]) -> Regex {
    let mut sorted: Vec<&Vec<u8>> = values.iter().collect();
    sorted.sort_by_key(|value| std::cmp::Reverse(value.len()));
    let literal = |value: &&Vec<u8>| value.iter().fold(String::new(), |text, byte| format!(r"{text}\x{byte:02x}"));
    let known = sorted.iter().map(literal);
    let all: Vec<String> = known.chain(PATTERNS.iter().map(|pattern| (*pattern).to_owned())).collect();
    regex::bytes::RegexBuilder::new(&all.join("|"))
        .unicode(false)
        .size_limit(64 << 20)
        .build()
        .expect("the patterns are tested and values are literals of bounded number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_by_form_and_by_value() {
        let secrets = Secrets::new([
            b"hunter2-long".to_vec(),
            b"hunter2".to_vec(),
            b"abc".to_vec(),
            b"line-one\nline-two\n".to_vec(),
        ]);
        let cases = [
            ("AKIAIOSFODNN7EXAMPLE is a key", "*** is a key"),
            ("x ghp_0123456789abcdefghijABCDEFGHIJ012345 y", "x *** y"),
            ("postgres://me:pa55w0rd@host/db", "postgres://me:***@host/db"),
            ("Authorization: Bearer abcdef0123456789", "Authorization: Bearer ***"),
            ("password=correct-horse&next=1", "password=***&next=1"),
            (r#"{"token": "0123456789", "n": 1}"#, r#"{"token": "***", "n": 1}"#),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl!", "***!"),
            ("it is hunter2-long and hunter2", "it is *** and ***"),
            ("abc stays, line-two goes", "abc stays, *** goes"),
            ("nothing here: 12:30, a=b, token", "nothing here: 12:30, a=b, token"),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----\nnext",
                "***\n***\n***\n***\nnext",
            ),
            ("password:\nnext line", "password:\nnext line"),
            ("", ""),
        ];
        for (line, masked) in cases {
            assert_eq!(secrets.mask_str(line), masked, "{line}");
        }
        assert_eq!(secrets.mask(b"\xff hunter2 \xfe"), &b"\xff *** \xfe"[..]);
    }

    #[test]
    fn a_value_that_is_learnt_is_masked_from_then_on() {
        let mut secrets = Secrets::new([]);
        assert_eq!(secrets.mask_str("s3cr3t!"), "s3cr3t!");
        secrets.add("s3cr3t!");
        assert_eq!(secrets.mask_str("s3cr3t!"), "***");
    }

    #[test]
    fn names_that_look_secret() {
        for name in ["GITHUB_TOKEN", "db_password", "AWS_SECRET_ACCESS_KEY", "MY_APIKEY"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["PATH", "HOME", "MONKEY", "KEYBOARD"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
