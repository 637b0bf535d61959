//! E-mail against a real mail server, which `.ci/smtp` starts. Not part of a plain `cargo test`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dynowarden::clock::Clock;
use dynowarden::config::settings::Settings;
use dynowarden::config::{self, Needs, Sources};
use dynowarden::notify;
use dynowarden::traffic::TrafficBook;
use dynowarden_core::days::verdict::Verdict;
use dynowarden_core::ident::AppId;
use dynowarden_core::record::{Notice, NoticeKind, Record, Scope};
use tokio_util::sync::CancellationToken;

const USER: &str = "me%40example.com";

struct Server {
    home: PathBuf,
    ports: BTreeMap<String, u16>,
}

impl Server {
    fn new() -> Self {
        let home = std::env::var_os("SMTP_SERVER").expect("run this by .ci/smtp, which starts the server");
        let home = PathBuf::from(home);
        let text = std::fs::read_to_string(home.join("ports")).expect("the server says where it listens");
        let port = |line: &str| {
            let (name, port) = line.split_once(' ').expect("two words");
            (name.to_owned(), port.parse().expect("a port"))
        };
        Self { ports: text.lines().map(port).collect(), home }
    }

    fn port(&self, listener: &str) -> u16 {
        self.ports[listener]
    }

    /// Mails that went to `address`.
    fn mails_to(&self, address: &str) -> Vec<String> {
        let files = std::fs::read_dir(self.home.join("mails")).expect("the server keeps mails");
        let texts = files.filter_map(|file| {
            let path = file.expect("it can be listed").path();
            let is_whole = !path.file_name()?.to_str()?.starts_with('.');
            is_whole.then(|| std::fs::read_to_string(path).expect("mails are ASCII"))
        });
        texts.filter(|text| text.lines().next().is_some_and(|head| head.contains(address))).collect()
    }

    /// The settings of one notifier, trusting the server's certificate.
    fn settings(&self, url: &str, to: &str) -> Settings {
        self.settings_with(url, to, "ca_file = '/ca.pem'\n")
    }

    fn settings_with(&self, url: &str, to: &str, more: &str) -> Settings {
        let text = format!(
            "[[app]]\nname = 'acme'\n[[notify]]\ntype = 'email'\nurl = '{url}'\nfrom = 'dynowarden@example.com'\n\
             to = ['{to}@example.com', '{to}2@example.com']\n{more}"
        );
        let read_file = |path: &Path| match path.to_str() {
            Some("dynowarden.toml") => Ok(text.clone()),
            Some("/ca.pem") => std::fs::read_to_string(self.home.join("ca.pem")),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        let sources = Sources { config: None, env: &[], read_file: &read_file };
        config::load(&sources, Needs::Nothing).unwrap_or_else(|problems| panic!("{problems}"))
    }
}

async fn test(settings: &Settings) -> Result<(), String> {
    let mut results = notify::test_all(settings, Clock::system().now()).await;
    let (_, result) = results.pop().expect("one notifier");
    result.map_err(|why| why.to_string())
}

#[tokio::test]
async fn implicit_tls_delivers_with_a_password() {
    let server = Server::new();
    let url = format!("smtps://{USER}:p%3Aw%2Fd@localhost:{}", server.port("tls"));
    test(&server.settings(&url, "implicit")).await.expect("it arrives");
    let mails = server.mails_to("implicit@example.com");
    let [mail] = mails.as_slice() else { panic!("one mail: {mails:?}") };
    assert!(
        mail.starts_with("tls dynowarden@example.com implicit@example.com,implicit2@example.com\n"),
        "{mail}"
    );
    for part in [
        "Subject: test message from dynowarden",
        "From: dynowarden <dynowarden@example.com>",
        "Auto-Submitted: auto-generated",
        "Content-Type: text/plain",
        "Content-Type: text/html",
        "<h2>test message from dynowarden</h2>",
    ] {
        assert!(mail.contains(part), "{part} is not in {mail}");
    }
}

#[tokio::test]
async fn starttls_delivers_with_a_password() {
    let server = Server::new();
    let url = format!("smtp://{USER}:p%3Aw%2Fd@127.0.0.1:{}?tls=required", server.port("starttls"));
    test(&server.settings(&url, "starttls")).await.expect("it arrives");
    assert!(server.mails_to("starttls@example.com")[0].starts_with("starttls "));
}

#[tokio::test]
async fn a_wrong_password_is_reported_and_not_shown() {
    let server = Server::new();
    for (scheme, listener, query) in [("smtps", "tls", ""), ("smtp", "starttls", "?tls=required")] {
        let url = format!("{scheme}://{USER}:canary@localhost:{}{query}", server.port(listener));
        let why = test(&server.settings(&url, "wrong")).await.expect_err("the password is wrong");
        assert!(why.contains("535") && !why.contains("canary"), "{why}");
    }
    assert!(server.mails_to("wrong@example.com").is_empty());
}

#[tokio::test]
async fn an_untrusted_certificate_is_rejected() {
    let server = Server::new();
    for (scheme, listener, query) in [("smtps", "tls", ""), ("smtp", "starttls", "?tls=required")] {
        let url = format!("{scheme}://{USER}:canary@localhost:{}{query}", server.port(listener));
        let why =
            test(&server.settings_with(&url, "stranger", "")).await.expect_err("a stranger's certificate");
        assert!(why.to_lowercase().contains("certificate") && !why.contains("canary"), "{why}");
    }
}

#[tokio::test]
async fn a_server_without_starttls_gets_no_password() {
    let server = Server::new();
    let url = format!("smtp://{USER}:canary@localhost:{}?tls=required", server.port("clear"));
    let why = test(&server.settings(&url, "clear")).await.expect_err("it has no STARTTLS");
    assert!(why.to_lowercase().contains("starttls"), "{why}");
    assert!(server.mails_to("clear@example.com").is_empty());
    let url = format!("smtp://localhost:{}", server.port("clear"));
    test(&server.settings_with(&url, "clear", ""))
        .await
        .expect("this machine itself may be sent mail in clear");
    assert_eq!(server.mails_to("clear@example.com").len(), 1);
}

#[tokio::test]
async fn an_unknown_recipient_is_reported() {
    let server = Server::new();
    let url = format!("smtp://localhost:{}", server.port("clear"));
    let why = test(&server.settings_with(&url, "nobody", "")).await.expect_err("there is no such user");
    assert!(why.contains("no such user"), "{why}");
    let why = test(&server.settings_with(&url, "full", "")).await.expect_err("not now");
    assert!(why.contains("mailbox is full"), "{why}");
}

#[tokio::test]
async fn an_incident_is_mailed() {
    let server = Server::new();
    let url = format!("smtps://{USER}:p%3Aw%2Fd@localhost:{}", server.port("tls"));
    let settings = server.settings(&url, "incident");
    let clock = Clock::system();
    let book = Arc::new(TrafficBook::new(true, 1));
    let (notices, notifying) = notify::start(&settings, book, clock, 7).expect("the settings are right");
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(notifying.run(shutdown.clone()));
    let now = clock.now().wall;
    notices.record(&Record::Notice(Notice {
        at: now,
        scope: Scope::App(AppId(0)),
        dyno: Some("web.1".parse().expect("a dyno")),
        what: NoticeKind::GaveUp {
            useless: 3,
            release: None,
            times: 1,
            until: now + Duration::from_secs(3600),
            verdict: Verdict::Unknown,
        },
    }));
    let arrived = async {
        while notices.figures()[0].delivered == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), arrived).await.expect("it arrives");
    shutdown.cancel();
    task.await.expect("it ends in order");
    let mails = server.mails_to("incident@example.com");
    assert!(mails[0].contains("Subject: [!] acme web.1: gave up: restarting does not help"), "{mails:?}");
}
