//! The files to copy: each against the real thing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use support::client::get;
use support::daemon::{Daemon, eventually};
use support::fixtures::{acme, drain_to, dyno, heroku};

use crate::samples::read;

/// The metrics that a text names, without the suffixes of a histogram.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let names = text.split(|c: char| !is_part(c)).filter(|word| word.starts_with("dynowarden_"));
    let bare = |name: &str| {
        let suffix = ["_bucket", "_sum", "_count"].into_iter().find_map(|suffix| name.strip_suffix(suffix));
        suffix.unwrap_or(name).to_owned()
    };
    names.map(bare).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_the_dashboard_and_the_alerts_exists_from_the_start() {
    let heroku = heroku(1).await;
    let notifier = r#"[{type="webhook",name="pager",url="http://127.0.0.1:9/"}]"#;
    let daemon = Daemon::start(&heroku.api_url(), &[("DYNOWARDEN_NOTIFY", notifier)]);
    let page = get(&daemon, "/metrics");
    // Its name is there before any dyno has reported its memory.
    for line in ["# TYPE dynowarden_dyno_memory_bytes gauge", "# TYPE dynowarden_notifications_total counter"]
    {
        assert_eq!(page.lines().filter(|known| *known == line).count(), 1, "{line}");
    }
    for series in [
        "dynowarden_notices_total{app=\"acme\",kind=\"failure\"} 0",
        "dynowarden_notices_total{app=\"acme\",kind=\"give_up\"} 0",
        "dynowarden_decisions_total{app=\"acme\",decision=\"hold\",reason=\"cooling_down\"} 0",
        "dynowarden_notifications_total{notifier=\"pager\",outcome=\"failed\"} 0",
        "dynowarden_tls_certificate_reads_total{outcome=\"failed\"} 0",
        "dynowarden_paused{app=\"acme\"} 0",
        "dynowarden_given_up{app=\"acme\"} 0",
        "dynowarden_dry_run 0",
    ] {
        assert!(page.lines().any(|line| line == series), "{series} is not in {page}");
    }
    // The memory of a dyno has a series from its first report on.
    drain_to(&heroku, &daemon.url, &acme());
    heroku.emit_r14(&acme(), &dyno("web.1"));
    let page = eventually("the dyno's memory is shown", || {
        let page = get(&daemon, "/metrics");
        page.contains("dynowarden_dyno_memory_quota_bytes{app=\"acme\",dyno=\"web.1\"} ").then_some(page)
    });
    let is_there = |name: &str| {
        let begins =
            |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ', '_']));
        page.lines().any(begins)
    };
    for file in ["contrib/alerts.yaml", "contrib/grafana.json", "docs/operations.md"] {
        let names = metrics_in(&read(file));
        assert!(names.len() > 8, "{file}: {names:?}");
        let missing: Vec<&String> = names.iter().filter(|name| !is_there(name)).collect();
        assert!(missing.is_empty(), "{file} names what /metrics lacks: {missing:?}");
    }
}

#[test]
fn every_alert_has_an_expression_and_a_summary() {
    let alerts: Value = serde_yaml_ng::from_str(&read("contrib/alerts.yaml")).expect("YAML");
    let rules = alerts["groups"][0]["rules"].as_array().expect("rules");
    let names: BTreeSet<&str> = rules.iter().filter_map(|rule| rule["alert"].as_str()).collect();
    assert!(rules.len() >= 12 && names.len() == rules.len(), "{names:?}");
    for rule in rules {
        assert!(rule["expr"].as_str().is_some_and(|expr| expr.contains("dynowarden")), "{rule}");
        assert!(rule["annotations"]["summary"].is_string(), "{rule}");
        assert!(matches!(rule["labels"]["severity"].as_str(), Some("critical" | "warning")), "{rule}");
    }
}

#[test]
fn the_dashboard_is_complete() {
    let dashboard: Value = serde_json::from_str(&read("contrib/grafana.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<i64> = panels.iter().filter_map(|panel| panel["id"].as_i64()).collect();
    assert!(panels.len() > 10 && ids.len() == panels.len());
    for panel in panels {
        let targets = panel["targets"].as_array().expect("targets");
        assert!(targets.iter().all(|target| target["expr"].is_string()), "{panel}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}");
    }
}

/// `UPDATE_SCHEMA=1` rewrites the file.
#[test]
fn the_schema_is_generated_from_the_settings() {
    let made = serde_json::to_string_pretty(&dynowarden::config::schema::schema()).expect("JSON") + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/dynowarden.schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &made).expect("room on the disk");
    }
    assert_eq!(read("contrib/dynowarden.schema.json"), made, "UPDATE_SCHEMA=1 rewrites it");
}

/// Every key that the example sets has the type that the schema gives it.
#[test]
fn the_example_file_fits_the_schema() {
    let example: toml::Table = read("dynowarden.example.toml").parse().expect("TOML");
    let example = serde_json::to_value(example).expect("a table");
    let schema: Value = serde_json::from_str(&read("contrib/dynowarden.schema.json")).expect("JSON");
    fits(&schema, &example, "");
    assert_eq!(schema["properties"]["policy"]["properties"]["cooldown"]["default"], "10m");
    let of_policy = &schema["properties"]["app"]["items"]["properties"]["policy"]["properties"];
    assert!(of_policy["cooldown"]["description"].is_string());
}

fn fits(schema: &Value, value: &Value, place: &str) {
    match value {
        Value::Object(keys) => {
            for (key, value) in keys {
                let property = &schema["properties"][key];
                assert!(property.is_object(), "{place}.{key} is not in the schema");
                fits(property, value, &format!("{place}.{key}"));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fits(&schema["items"], item, place)),
        value => {
            let name = match value {
                Value::Bool(_) => "boolean",
                Value::Number(_) => "integer",
                _ => "string",
            };
            let types = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
            let is_choice = schema["enum"].as_array().is_some_and(|all| all.contains(value));
            assert!(is_choice || types.contains(&name.into()), "{place}: {value} for {schema}");
        }
    }
}

#[test]
fn the_files_for_other_hosts_serve_a_dry_run_with_a_disk() {
    let fly: toml::Table = read("contrib/fly.toml").parse().expect("TOML");
    let fly = serde_json::to_value(fly).expect("a table");
    let mut env: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in fly["env"].as_object().expect("variables") {
        env.insert(name.clone(), value.as_str().expect("a text").to_owned());
    }
    assert_eq!(fly["mounts"][0]["destination"], "/data");
    assert_eq!(fly["http_service"]["auto_stop_machines"], "off", "a sleeping drain loses lines");
    assert_eq!(fly["http_service"]["checks"][0]["path"], "/healthz");
    let dockerfile = fly["build"]["dockerfile"].as_str().expect("a Dockerfile");
    assert!(read(&format!("contrib/{dockerfile}")).contains("\nFROM "));
    let settings = crate::samples::serves_with_secrets(&env);
    assert!(settings.apps[0].plan.dry_run);
    assert_eq!(fly["http_service"]["internal_port"], settings.port);

    let render: Value = serde_yaml_ng::from_str(&read("contrib/render.yaml")).expect("YAML");
    let service = &render["services"][0];
    assert_eq!(service["disk"]["mountPath"], "/data");
    assert_eq!(service["healthCheckPath"], "/healthz");
    let variables = service["envVars"].as_array().expect("variables");
    let set = |variable: &Value| {
        Some((variable["key"].as_str()?.to_owned(), variable["value"].as_str()?.to_owned()))
    };
    let settings = crate::samples::serves_with_secrets(&variables.iter().filter_map(set).collect());
    assert!(settings.apps[0].plan.dry_run);
    let asked: BTreeSet<&str> = variables.iter().filter_map(|variable| variable["key"].as_str()).collect();
    for needed in ["HEROKU_API_KEY", "HEROKU_APP", "DRAIN_PASSWORD"] {
        assert!(asked.contains(needed), "{needed}");
    }
}
