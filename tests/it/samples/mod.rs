//! Checks each sample file: its settings and commands are valid, and its statements about other files are
//! true.

mod docs;
mod image;
mod supply;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use clap::Parser as _;
use dynowarden::cli::{Cli, Command};
use dynowarden::config::settings::{Database, Settings};
use dynowarden::config::{self, Needs, Sources};
use serde_json::Value;

pub(crate) fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(path: &str) -> Value {
    serde_yaml_ng::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The settings of a daemon with this environment, without missing or unknown ones and without warnings.
#[track_caller]
fn serves(env: &BTreeMap<String, String>, files: &BTreeMap<&str, &str>) -> Settings {
    let pairs: Vec<(OsString, OsString)> =
        env.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let read_file = |path: &Path| {
        let text = path.to_str().and_then(|path| files.get(path));
        text.map(|text| (*text).to_owned()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    };
    let sources = Sources { config: None, env: &pairs, read_file: &read_file };
    let settings = config::load(&sources, Needs::Serving).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
    settings
}

/// The settings of a sample, with the secrets and the app that its user adds.
#[track_caller]
pub(crate) fn serves_with_secrets(env: &BTreeMap<String, String>) -> Settings {
    let mut env = env.clone();
    for name in ["HEROKU_API_KEY", "HEROKU_APP", "DRAIN_PASSWORD", "ADMIN_PASSWORD", "SLACK_URL"] {
        env.insert(name.to_owned(), filled_in(name).to_owned());
    }
    serves(&env, &BTreeMap::new())
}

/// The values that a user of a sample would fill in.
fn filled_in(name: &str) -> &'static str {
    match name {
        "HEROKU_API_KEY" => "HRKU-01234567-89ab-cdef-0123-456789abcdef",
        "HEROKU_APP" => "acme",
        "DRAIN_PASSWORD" | "POSTGRES_PASSWORD" => "0123456789abcdef0123456789abcdef",
        "ADMIN_PASSWORD" => "fedcba9876543210",
        "SLACK_URL" => "https://hooks.slack.com/services/T000/B000/0123456789",
        "WARDEN_HOST" => "warden.example.com",
        _ => "",
    }
}

/// Replaces `${NAME:?message}` and `${NAME:-default}`, as Compose does.
fn interpolated(text: &str) -> String {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        let (inside, after) = behind.split_once('}').expect("an end of ${");
        let (name, default) = inside.split_once(":-").unwrap_or((inside, ""));
        let name = name.split(":?").next().unwrap_or(name);
        let value = filled_in(name);
        whole.push_str(before);
        whole.push_str(if value.is_empty() { default } else { value });
        rest = after;
    }
    whole + rest
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn environment(service: &Value) -> BTreeMap<String, String> {
    let pairs = service["environment"].as_object().expect("an environment");
    pairs.iter().map(|(name, value)| (name.clone(), interpolated(value.as_str().expect("a text")))).collect()
}

/// Checks every service with dynowarden: no privileges, no writable file system, and time to shut down.
#[track_caller]
fn is_locked_down(service: &Value) {
    assert_eq!(service["read_only"], true);
    assert_eq!(texts(&service["cap_drop"]), ["ALL"]);
    assert_eq!(texts(&service["security_opt"]), ["no-new-privileges:true"]);
    assert_eq!(service["restart"], "unless-stopped");
    let grace: u32 = service["stop_grace_period"]
        .as_str()
        .and_then(|span| span.strip_suffix('s')?.parse().ok())
        .expect("seconds");
    assert!((21..30).contains(&grace), "it ends within 20 s, and {grace} s are given");
}

#[test]
fn compose_runs_one_daemon_with_its_history_in_a_volume() {
    let compose = yaml("deploy/compose.yaml");
    assert_eq!(compose["name"], "dynowarden", "the volumes keep their names");
    let service = &compose["services"]["dynowarden"];
    is_locked_down(service);
    let image = image::Image::read();
    let mut env = image.env.clone();
    env.extend(environment(service));
    let settings = serves(&env, &BTreeMap::new());
    assert_eq!(settings.apps.len(), 1);
    assert!(!settings.apps[0].plan.dry_run);
    assert_eq!(texts(&service["ports"]), [format!("127.0.0.1:8080:{}", settings.port)]);
    assert_eq!(texts(&service["volumes"]), [format!("record:{}", image.volume)]);
    let passed = &service["env_file"][0];
    assert_eq!((&passed["path"], &passed["required"]), (&".env".into(), &false.into()), "every variable");
    assert!(compose["volumes"]["record"].is_object(), "the volume is declared");
}

#[test]
fn compose_replicas_share_one_database_behind_one_proxy() {
    let compose = yaml("deploy/compose.replicas.yaml");
    assert_eq!(compose["name"], "dynowarden", "the volumes keep their names");
    let services = compose["services"].as_object().expect("services");
    let replicas: Vec<&String> = services.keys().filter(|name| name.starts_with("warden-")).collect();
    assert_eq!(replicas.len(), 3);
    let postgres = &compose["services"]["postgres"];
    let mut port = 0;
    for name in &replicas {
        let service = &services[*name];
        is_locked_down(service);
        assert!(service["ports"].is_null(), "{name} is reached through the proxy only");
        assert_eq!(service["depends_on"]["postgres"]["condition"], "service_healthy");
        let env = environment(service);
        let settings = serves(&env, &BTreeMap::new());
        assert!(matches!(settings.database, Database::Postgres(_)), "{name} shares the record");
        let (user, base) =
            (&postgres["environment"]["POSTGRES_USER"], &postgres["environment"]["POSTGRES_DB"]);
        let password = filled_in("POSTGRES_PASSWORD");
        let (user, base) = (user.as_str().expect("a user"), base.as_str().expect("a database"));
        assert_eq!(
            env["DATABASE_URL"],
            format!("postgres://{user}:{password}@postgres/{base}?sslmode=disable")
        );
        port = settings.port;
    }
    let caddyfile = interpolated(compose["configs"]["caddyfile"]["content"].as_str().expect("a Caddyfile"));
    let upstreams: Vec<String> = replicas.iter().map(|name| format!("{name}:{port}")).collect();
    for needed in [
        "warden.example.com {".to_owned(),
        format!("reverse_proxy {} {{", upstreams.join(" ")),
        "lb_policy header Logplex-Drain-Token".to_owned(),
        "health_uri /readyz".to_owned(),
    ] {
        assert!(caddyfile.contains(&needed), "{needed} in {caddyfile}");
    }
    let caddy = &compose["services"]["caddy"];
    assert_eq!(texts(&caddy["ports"]), ["80:80", "443:443"]);
    assert_eq!(caddy["configs"][0]["source"], "caddyfile");
    assert_eq!(caddy["configs"][0]["target"], "/etc/caddy/Caddyfile");
}

#[test]
fn the_deploy_button_asks_for_every_required_setting() {
    let app: Value = serde_json::from_str(&read("app.json")).expect("JSON");
    assert_eq!(app["name"], env!("CARGO_PKG_NAME"));
    assert_eq!(app["description"], env!("CARGO_PKG_DESCRIPTION"));
    assert_eq!(app["stack"], "container");
    assert_eq!(app["formation"]["web"]["quantity"], 1);
    assert_eq!(app["formation"]["web"]["size"], "basic", "Eco dynos sleep, and a sleeping drain loses lines");
    let mut env = image::Image::read().env;
    for (name, ask) in app["env"].as_object().expect("variables") {
        assert!(ask["description"].as_str().is_some_and(|text| !text.is_empty()), "{name} is described");
        let value = match (ask["value"].as_str(), ask["generator"].as_str()) {
            (Some(value), None) => value.to_owned(),
            // Heroku makes 32 random octets in hex, different each time.
            (None, Some("secret")) => format!("{:x}{:062x}", 0xab, env.len() + 1),
            (None, None) => {
                let is_asked = ask["required"] == true || name == "SLACK_URL";
                assert!(is_asked, "{name} has a value, or makes one, or is asked for");
                filled_in(name).to_owned()
            }
            other => panic!("{name}: {other:?}"),
        };
        env.insert(name.clone(), value);
    }
    // Set by the platform.
    env.insert("PORT".to_owned(), "34567".to_owned());
    let settings = serves(&env, &BTreeMap::new());
    assert!(settings.apps[0].plan.dry_run, "the button's first run touches nothing");
    assert!(settings.admin_password.is_some());
    assert_eq!(settings.notifiers.len(), 1, "the button asks for Slack");
    assert_eq!(settings.port, 34567);
}

#[test]
fn heroku_builds_the_dockerfile_and_runs_its_command() {
    let manifest = yaml("heroku.yml");
    let dockerfile = manifest["build"]["docker"]["web"].as_str().expect("a Dockerfile");
    assert!(read(dockerfile).contains("\nFROM "));
    assert!(manifest["run"].is_null(), "the image's own CMD is the command");
    let procfile = read("Procfile");
    let (process_type, command) = procfile.trim().split_once(": ").expect("one process type");
    assert_eq!(process_type, "web");
    let arguments = command.strip_prefix("target/release/").expect("where cargo puts it").split_whitespace();
    assert!(matches!(Cli::parse_from(arguments).into_command(), Command::Serve(_)));
}

#[test]
fn the_systemd_service_is_unprivileged_and_finds_its_secrets() {
    let unit = read("deploy/dynowarden.service");
    let values = |key: &str| -> Vec<String> {
        let of = |line: &str| line.strip_prefix(key)?.strip_prefix('=').map(str::to_owned);
        unit.lines().filter_map(of).collect()
    };
    let only = |key: &str| -> String {
        let found = values(key);
        assert_eq!(found.len(), 1, "{key}: {found:?}");
        found[0].clone()
    };
    let Command::Serve(serve) = Cli::parse_from(only("ExecStart").split_whitespace()).into_command() else {
        panic!("ExecStart serves")
    };
    assert_eq!(serve.config.config.as_deref(), Some(Path::new("/etc/dynowarden/dynowarden.toml")));

    let state = format!("/var/lib/{}", only("StateDirectory"));
    let credentials: Vec<String> = values("LoadCredential");
    let files: Vec<(String, &str)> = credentials
        .iter()
        .map(|credential| credential.split_once(':').expect("a name and a file"))
        .map(|(name, _)| (format!("/credentials/{name}"), filled_in(&name.to_ascii_uppercase())))
        .collect();
    let files: BTreeMap<&str, &str> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    let mut env: BTreeMap<String, String> = values("Environment")
        .iter()
        .map(|pair| pair.split_once('=').expect("a variable"))
        .map(|(name, value)| (name.to_owned(), value.replace("%d", "/credentials")))
        .collect();
    env.insert("HEROKU_APP".to_owned(), filled_in("HEROKU_APP").to_owned());
    let settings = serves(&env, &files);
    assert!(settings.heroku.api_key.is_some() && settings.admin_password.is_some());
    let Database::Sqlite(record) = settings.database else { panic!("a file for the record") };
    assert!(record.starts_with(&state), "{} below {state}", record.display());
    let descriptors: usize = only("LimitNOFILE").parse().expect("a number");
    assert!(descriptors >= settings.drain.connections_max * 2, "descriptors for every connection");

    assert_eq!(only("RestartPreventExitStatus"), "2", "wrong settings are not tried again");
    for locked in [
        "DynamicUser=yes",
        "CapabilityBoundingSet=",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateDevices=yes",
        "SystemCallFilter=@system-service",
    ] {
        assert!(unit.lines().any(|line| line == locked), "{locked}");
    }
}

#[test]
fn the_forge_runs_the_same_ci_script_as_contributors() {
    let workflow = yaml(".github/workflows/ci.yml");
    let steps = workflow["jobs"]["ci"]["steps"].as_array().expect("steps");
    assert!(steps.iter().any(|step| step["run"] == ".ci/run"));
    let dependencies = workflow["jobs"]["dependencies"]["steps"].as_array().expect("steps");
    assert!(dependencies.iter().any(|step| step["run"] == "scripts/deny"));
    assert_eq!(workflow["permissions"], serde_json::json!({ "contents": "read" }));
}
