//! What a doctor says.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    #[default]
    Ok,
    /// It works, and should be seen to.
    Warning,
    /// Data is in danger, or cannot be used.
    Critical,
}

impl Severity {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What was found.
    pub found: String,
    /// What that means, unless it is as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meaning: Option<&'static str>,
    /// What mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// Everything that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The worst of it.
    pub severity: Severity,
    /// One for each thing that was looked at.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Something as it should be.
    pub fn ok(&mut self, check: &'static str, found: impl Into<String>) {
        self.findings.push(Finding { check, severity: Severity::Ok, found: found.into(), meaning: None, fix: None });
    }

    /// Something that is not.
    pub fn bad(
        &mut self,
        severity: Severity,
        check: &'static str,
        found: impl Into<String>,
        meaning: &'static str,
        fix: impl Into<String>,
    ) {
        self.severity = self.severity.max(severity);
        let (meaning, fix) = (Some(meaning), Some(fix.into()));
        self.findings.push(Finding { check, severity, found: found.into(), meaning, fix });
    }
}
