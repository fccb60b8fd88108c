//! The statements that make the tables and views, by what the server can.

use tallybook_core::shape::{Field, Kind, REVISION, Shape};

/// The oldest server that is known to work.
pub(crate) const OLDEST: Version = Version { major: 18, minor: 16 };
/// From here on there are codecs, low cardinality, tuples as arguments of aggregates and times finer than a second.
const MODERN: Version = Version { major: 20, minor: 6 };

/// Where the last cursor is kept.
pub(crate) const STATE: &str = "mirror_state";

/// A server's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl Version {
    /// Reads `18.16.1` or `26.9.2.1`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('.').map(|part| part.parse().ok());
        Some(Self { major: parts.next()??, minor: parts.next()?? })
    }

    pub(crate) fn is_modern(self) -> bool {
        self >= MODERN
    }
}

/// How the tables of one database are written.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    pub(crate) database: String,
    pub(crate) version: Version,
    pub(crate) cluster: Option<String>,
}

impl Schema {
    /// The name of a table or view, as it stands in statements.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}.{}", quoted(&self.database), quoted(name))
    }

    /// The table that rows of `shape` are inserted into and read from.
    pub(crate) fn rows(&self, shape: &Shape) -> String {
        self.everywhere(&format!("{}_raw", shape.name))
    }

    /// The table of the cursor.
    pub(crate) fn state(&self) -> String {
        self.everywhere(STATE)
    }

    /// On a cluster, what spans all its servers has a name of its own.
    fn everywhere(&self, table: &str) -> String {
        self.name(&if self.cluster.is_some() { format!("{table}_all") } else { table.to_owned() })
    }

    fn on_cluster(&self) -> String {
        self.cluster.as_ref().map(|cluster| format!(" ON CLUSTER {}", quoted(cluster))).unwrap_or_default()
    }

    /// Everything that makes the mirror; each may be repeated.
    pub(crate) fn create(&self) -> Vec<String> {
        let mut statements =
            vec![format!("CREATE DATABASE IF NOT EXISTS {}{}", quoted(&self.database), self.on_cluster())];
        let state_columns = "primary_id String, cursor String, seq UInt64";
        statements.extend(self.table(STATE, state_columns, "primary_id", "", Some("seq"), "primary_id"));
        for shape in Shape::all() {
            let mut columns: Vec<String> =
                shape.fields.iter().enumerate().map(|(at, field)| self.column(shape, at, field)).collect();
            columns.extend(shape.changes.then(|| format!("{} UInt64{}", quoted(REVISION), self.codec("Delta, ZSTD"))));
            let key = list(shape.key());
            let day = shape.day.map(|time| format!(" PARTITION BY {}", day_of(time))).unwrap_or_default();
            let revision = shape.changes.then_some(REVISION);
            // Rows of one key must meet on one server.
            let shard = format!("cityHash64({key})");
            statements.extend(self.table(
                &format!("{}_raw", shape.name),
                &columns.join(", "),
                &key,
                &day,
                revision,
                &shard,
            ));
            statements.push(self.view(shape.name, &self.merged(shape)));
        }
        for (name, start) in [("tick_hour", "toStartOfHour"), ("tick_day", "toStartOfDay")] {
            statements.extend(self.bars(name, start));
        }
        statements
    }

    /// Everything that removes it, in an order in which nothing is needed any more.
    pub(crate) fn drop(&self) -> Vec<String> {
        let mut names: Vec<(&str, String)> = Vec::new();
        for bars in ["tick_hour", "tick_day"] {
            names.push(("TABLE", bars.to_owned()));
            names.push(("TABLE", format!("{bars}_feed")));
            names.push(("TABLE", format!("{bars}_raw")));
        }
        for shape in Shape::all() {
            names.push(("TABLE", shape.name.to_owned()));
            names.push(("TABLE", format!("{}_raw", shape.name)));
        }
        names.push(("TABLE", STATE.to_owned()));
        let on_cluster = self.on_cluster();
        let mut statements = Vec::new();
        for (kind, name) in names {
            if self.cluster.is_some() {
                statements.push(format!("DROP {kind} IF EXISTS {}{on_cluster}", self.name(&format!("{name}_all"))));
            }
            statements.push(format!("DROP {kind} IF EXISTS {}{on_cluster}", self.name(&name)));
        }
        statements
    }

    /// A table whose later rows replace earlier ones with the same key; on a cluster, with what spans its servers.
    fn table(
        &self,
        name: &str,
        columns: &str,
        key: &str,
        day: &str,
        revision: Option<&str>,
        shard: &str,
    ) -> Vec<String> {
        let own = self.name(name);
        let revision = revision.map(quoted).unwrap_or_default();
        let Some(cluster) = &self.cluster else {
            let engine = format!("ReplacingMergeTree({revision}){day} ORDER BY ({key})");
            return vec![format!("CREATE TABLE IF NOT EXISTS {own} ({columns}) ENGINE = {engine}")];
        };
        let on_cluster = self.on_cluster();
        let comma = if revision.is_empty() { "" } else { ", " };
        let path = format!("'/clickhouse/tables/{{shard}}/{}/{name}', '{{replica}}'", self.database);
        let engine = format!("ReplicatedReplacingMergeTree({path}{comma}{revision}){day} ORDER BY ({key})");
        let all = self.everywhere(name);
        vec![
            format!("CREATE TABLE IF NOT EXISTS {own}{on_cluster} ({columns}) ENGINE = {engine}"),
            format!(
                "CREATE TABLE IF NOT EXISTS {all}{on_cluster} AS {own} ENGINE = Distributed({}, {}, {}, {shard})",
                quoted(cluster),
                quoted(&self.database),
                quoted(name)
            ),
        ]
    }

    fn view(&self, name: &str, select: &str) -> String {
        format!("CREATE VIEW IF NOT EXISTS {}{} AS {select}", self.name(name), self.on_cluster())
    }

    fn codec(&self, codecs: &str) -> String {
        if self.version.is_modern() { format!(" CODEC({codecs})") } else { String::new() }
    }

    fn column(&self, shape: &Shape, at: usize, field: &Field) -> String {
        let in_key_of_series = at < shape.key_len && shape.day.is_some();
        let few_texts = in_key_of_series || (shape.name == "tick" && field.kind == Kind::Text);
        let (plain, codec) = match field.kind {
            Kind::Int => ("Int64", "T64, ZSTD"),
            Kind::Unsigned => ("UInt64", "T64, ZSTD"),
            Kind::Small => ("UInt8", "ZSTD"),
            Kind::Time => ("Int64", "DoubleDelta, ZSTD"),
            Kind::Text if few_texts && self.version.is_modern() => ("LowCardinality(String)", "ZSTD"),
            Kind::Text => ("String", "ZSTD"),
            Kind::Bytes => ("String", "ZSTD(3)"),
        };
        let column_type = if field.nullable { format!("Nullable({plain})") } else { plain.to_owned() };
        format!("{} {column_type}{}", quoted(field.name), self.codec(codec))
    }

    /// A moment for people and dashboards.
    fn moment(&self, column: &str) -> String {
        if self.version.is_modern() {
            format!("fromUnixTimestamp64Nano({column}, 'UTC')")
        } else {
            format!("toDateTime(intDiv({column}, 1000000000), 'UTC')")
        }
    }

    /// What the view of a table shows: each row once, as it is now, with times as times and without sketches. Times have
    /// another name inside: an old server would take the alias for the column.
    fn merged(&self, shape: &Shape) -> String {
        let mut inner = Vec::new();
        let mut outer = Vec::new();
        for field in &shape.fields {
            let name = quoted(field.name);
            let inside = quoted(&format!("{}_ns", field.name));
            match field.kind {
                Kind::Bytes => {}
                Kind::Time => {
                    inner.push(format!("{name} AS {inside}"));
                    outer.push(format!("{} AS {name}", self.moment(&inside)));
                }
                _ => {
                    inner.push(name.clone());
                    let is_part_of_price = field.name.ends_with("_mantissa") || field.name.ends_with("_scale");
                    outer.extend((!is_part_of_price).then_some(name));
                }
            }
        }
        if shape.name == "tick" {
            for price in ["bid", "ask", "volume"] {
                outer.push(format!("{} AS {price}", price_of(price)));
            }
            outer.push(format!("{} - {} AS spread", price_of("ask"), price_of("bid")));
        }
        if let Some(time) = shape.day {
            outer.push(format!("{} AS day", day_of(&quoted(&format!("{time}_ns")))));
        }
        let rows = format!("SELECT {} FROM {} FINAL", inner.join(", "), self.rows(shape));
        format!("SELECT {} FROM ({rows})", outer.join(", "))
    }

    /// Bars that are made as ticks come. A page that comes again changes none of them: they know extremes, first and last
    /// ticks, and an estimate of how many there were.
    fn bars(&self, name: &str, start: &str) -> Vec<String> {
        let raw = format!("{name}_raw");
        let order = if self.version.is_modern() { "(time, seq)" } else { "time" };
        let at = format!("{start}(toDateTime(intDiv(time, 1000000000), 'UTC'))");
        let (order_type, engine) =
            (if self.version.is_modern() { "Tuple(Int64, UInt64)" } else { "Int64" }, "AggregatingMergeTree");
        let mut columns = vec!["symbol String".to_owned(), "start DateTime('UTC')".to_owned()];
        let mut made = vec!["toString(symbol) AS symbol".to_owned(), format!("{at} AS start")];
        let mut merged = vec!["symbol".to_owned(), "start".to_owned()];
        for price in ["bid", "ask"] {
            let value = format!("assumeNotNull({})", price_of(price));
            for (field, function, of_order) in
                [("open", "argMin", true), ("high", "max", false), ("low", "min", false), ("close", "argMax", true)]
            {
                let (types, arguments) = if of_order {
                    (format!("Float64, {order_type}"), format!("{value}, {order}"))
                } else {
                    ("Float64".to_owned(), value.clone())
                };
                // A side that is not quoted has no part in the bar of that side.
                let quoted_only = format!("{function}If");
                columns.push(format!("{price}_{field} AggregateFunction({quoted_only}, {types}, UInt8)"));
                made.push(format!(
                    "{quoted_only}State({arguments}, toUInt8({price}_mantissa IS NOT NULL)) AS {price}_{field}"
                ));
                merged.push(format!("{quoted_only}Merge(r.{price}_{field}) AS {price}_{field}"));
            }
        }
        columns.push("ticks_estimate AggregateFunction(uniqCombined, Int64, UInt64)".to_owned());
        made.push("uniqCombinedState(time, seq) AS ticks_estimate".to_owned());
        merged.push("uniqCombinedMerge(r.ticks_estimate) AS ticks_estimate".to_owned());
        let (own, on_cluster) = (self.name(&raw), self.on_cluster());
        let body = "PARTITION BY toYYYYMM(start) ORDER BY (symbol, start)";
        let mut statements = Vec::new();
        let columns = columns.join(", ");
        match &self.cluster {
            None => statements.push(format!("CREATE TABLE IF NOT EXISTS {own} ({columns}) ENGINE = {engine}() {body}")),
            Some(cluster) => {
                let path = format!("'/clickhouse/tables/{{shard}}/{}/{raw}', '{{replica}}'", self.database);
                statements.push(format!(
                    "CREATE TABLE IF NOT EXISTS {own}{on_cluster} ({columns}) ENGINE = Replicated{engine}({path}) {body}"
                ));
                statements.push(format!(
                    "CREATE TABLE IF NOT EXISTS {}{on_cluster} AS {own} ENGINE = Distributed({}, {}, {})",
                    self.everywhere(&raw),
                    quoted(cluster),
                    quoted(&self.database),
                    quoted(&raw)
                ));
            }
        }
        // Each server feeds its own table from its own ticks.
        statements.push(format!(
            "CREATE MATERIALIZED VIEW IF NOT EXISTS {}{on_cluster} TO {own} AS SELECT {} FROM {} GROUP BY symbol, start",
            self.name(&format!("{name}_feed")),
            made.join(", "),
            self.name("tick_raw")
        ));
        let select = format!("SELECT {} FROM {} AS r GROUP BY symbol, start", merged.join(", "), self.everywhere(&raw));
        statements.push(self.view(name, &select));
        statements
    }
}

/// A name as an identifier; it comes from a description, never from data.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{name}`")
}

/// Their names, as they stand in statements.
pub(crate) fn list(fields: &[Field]) -> String {
    fields.iter().map(|field| quoted(field.name)).collect::<Vec<_>>().join(", ")
}

/// The columns that are inserted, in their order.
pub(crate) fn inserted(shape: &Shape) -> String {
    let revision = if shape.changes { format!(", {}", quoted(REVISION)) } else { String::new() };
    list(&shape.fields) + &revision
}

/// The UTC day of a time column: what tables are cut by, and what a condition must say for days to be left out.
fn day_of(column: &str) -> String {
    format!("toDate(toDateTime(intDiv({column}, 1000000000), 'UTC'))")
}

/// A price as a number; NULL where it is not quoted.
fn price_of(price: &str) -> String {
    format!("{price}_mantissa / exp10({price}_scale)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(version: &str, cluster: Option<&str>) -> Schema {
        let version = Version::parse(version).unwrap();
        Schema { database: "records".to_owned(), version, cluster: cluster.map(str::to_owned) }
    }

    #[test]
    fn versions_are_read_and_compared() {
        let version = |text| Version::parse(text).unwrap();
        assert!(version("18.16.1") >= OLDEST && version("18.14.9") < OLDEST);
        assert!(!version("18.16.1").is_modern() && version("26.9.2.1").is_modern());
        assert_eq!(Version::parse("unknown"), None);
    }

    #[test]
    fn an_old_server_is_asked_for_nothing_it_does_not_know() {
        let all = schema("18.16.1", None).create().join("\n");
        for unknown in ["CODEC", "LowCardinality", "fromUnixTimestamp64Nano", "Tuple(", "ON CLUSTER"] {
            assert!(!all.contains(unknown), "{unknown}");
        }
        let all = schema("26.9.2.1", None).create().join("\n");
        for known in ["CODEC(DoubleDelta, ZSTD)", "LowCardinality(String)", "PARTITION BY toDate("] {
            assert!(all.contains(known), "{known}");
        }
    }

    #[test]
    fn on_a_cluster_every_table_is_replicated_and_spans_all_servers() {
        let schema = schema("26.9.2.1", Some("both"));
        let all = schema.create();
        let tables = all.iter().filter(|sql| sql.contains("ReplacingMergeTree")).count();
        assert_eq!(tables, Shape::all().count() + 1);
        assert!(all.iter().all(|sql| sql.contains("ON CLUSTER `both`")));
        let ping: Vec<&String> = all.iter().filter(|sql| sql.contains("ping_raw")).collect();
        assert!(ping[0].contains(
            "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/records/ping_raw', '{replica}', `rev`)"
        ));
        assert!(ping[1].contains("Distributed(`both`, `records`, `ping_raw`, cityHash64(`target`, `time`))"));
        assert_eq!(schema.rows(Shape::ticks()), "`records`.`tick_raw_all`");
    }

    #[test]
    fn what_is_made_is_removed() {
        let schema = schema("26.9.2.1", None);
        let removed = schema.drop().join("\n");
        for made in schema.create().iter().skip(1) {
            let name = made.split("IF NOT EXISTS ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
            assert!(removed.contains(&format!("IF EXISTS {name}")), "{name}");
        }
    }
}
