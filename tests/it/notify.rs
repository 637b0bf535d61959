//! End to end: messages of the real binary, to receivers on real sockets.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use support::client::get;
use support::daemon::{Daemon, eventually};
use support::fixtures::{acme, drain_to, dyno, heroku};

/// What was posted to a receiver, by path.
type Posted = Arc<Mutex<Vec<(String, Value)>>>;

/// Accepts all posts except those to `/services`, which get 404 with the path repeated.
fn receiver() -> (String, Posted) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let posted = Posted::default();
    let kept = posted.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let kept = kept.clone();
            // The daemon retries a broken connection.
            std::thread::spawn(move || drop(serve(stream, &kept)));
        }
    });
    (address, posted)
}

fn serve(mut stream: TcpStream, kept: &Posted) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = 0;
        while line.trim() != "" {
            line.clear();
            reader.read_line(&mut line)?;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let body = serde_json::from_slice(&body).expect("JSON");
        kept.lock().expect("no test panicked in here").push((path.clone(), body));
        let (status, text) = if path.starts_with("/services") {
            ("404 Not Found", format!("Cannot POST {path}"))
        } else {
            ("200 OK", "ok".to_owned())
        };
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{text}", text.len())?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_notifier_is_reported_without_its_address() {
    let heroku = heroku(1).await;
    let (address, posted) = receiver();
    let notifiers = format!(
        r#"[{{type="webhook",name="pager",url="http://{address}/pager",group="0s"}},
            {{type="slack",name="channel",url="http://{address}/services/T000/B000/s3cr3t",group="0s"}}]"#
    );
    let daemon = Daemon::start(&heroku.api_url(), &[("DYNOWARDEN_NOTIFY", &notifiers)]);
    drain_to(&heroku, &daemon.url, &acme());
    heroku.emit_r14(&acme(), &dyno("web.1"));

    let sent = |kind: &str| {
        let posted = posted.lock().expect("no test panicked in here");
        let of_kind = |(path, body): &&(String, Value)| path == "/pager" && body["kind"] == *kind;
        posted.iter().find(of_kind).map(|(_, body)| body.clone())
    };
    let restart = eventually("the restart is sent", || sent("restart"));
    assert_eq!((&restart["dyno"], &restart["phase"]), (&"web.1".into(), &"opened".into()));
    let down = eventually("the others are sent", || sent("failure"));
    assert_eq!(down["title"], "the notifier channel is not delivering");
    let why = "It answered 404 Not Found: Cannot POST /…/…/…/….";
    assert_eq!(down["text"], why);
    // A ready daemon stays ready: no restart waits for a message.
    let ready = "ready; notify: channel is not delivering: it answered 404 Not Found";
    eventually("/readyz says so", || get(&daemon, "/readyz").contains(ready).then_some(()));
    assert!(get(&daemon, "/readyz").starts_with("HTTP/1.1 200 "));
    assert!(get(&daemon, "/").contains("Working, but notify: channel is not delivering"));
    let row = "channel <span class=\"badge warn\">Not delivering</span>";
    eventually("the page shows the notifier", || get(&daemon, "/").contains(row).then_some(()));
    let said = format!("{:?}{}{}", daemon.lines(), get(&daemon, "/metrics"), get(&daemon, "/"));
    assert!(!said.contains("s3cr3t") && !said.contains("B000"), "{said}");
}
