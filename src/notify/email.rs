//! E-mail: a plain text and a simple HTML page, through a mail server.
//!
//! A mail's id contains the incident's, so that mail programs show the mails of one incident as a thread, and
//! a server that receives a mail twice can detect it.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart, header};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use secrecy::ExposeSecret as _;

use crate::config::settings::{EmailSettings, SmtpSecurity};
use crate::http_client::{self, one_line, with_causes};
use crate::notify::delivery::{Delivery, Secrets, footer};
use dynowarden_core::incident::message::{Message, Phase};

/// One mail server and its recipients.
pub(super) struct Email {
    from: Mailbox,
    secrets: Secrets,
    timeout: Duration,
    to: Vec<Mailbox>,
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

#[derive(Debug, thiserror::Error)]
pub enum EmailError {
    /// An address that the settings accepted and the mail library rejects.
    #[error("{0} is not an e-mail address")]
    Address(String),
    /// The certificates of `ca_file` or of the system.
    #[error("TLS is not available with these certificates")]
    Tls(#[source] lettre::transport::smtp::Error),
}

impl Email {
    /// # Errors
    /// An address or the certificates cannot be used.
    pub(super) fn new(settings: &EmailSettings, timeout: Duration) -> Result<Self, EmailError> {
        http_client::use_ring();
        let mailbox = |address: &String| {
            let parsed = address.parse().map_err(|_| EmailError::Address(address.clone()))?;
            Ok(Mailbox::new(None, parsed))
        };
        let tls = match settings.security {
            SmtpSecurity::None => Tls::None,
            SmtpSecurity::StartTls => Tls::Required(tls_parameters(settings)?),
            SmtpSecurity::Tls => Tls::Wrapper(tls_parameters(settings)?),
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host)
            .port(settings.port)
            .tls(tls)
            .timeout(Some(timeout))
            .hello_name(ClientId::Domain("localhost".to_owned()));
        if let Some((user, password)) = &settings.credentials {
            transport =
                transport.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
        }
        Ok(Self {
            secrets: secrets(settings),
            from: Mailbox { name: Some("dynowarden".to_owned()), ..mailbox(&settings.from)? },
            to: settings.to.iter().map(mailbox).collect::<Result<_, EmailError>>()?,
            timeout,
            transport: transport.build(),
        })
    }

    pub(super) async fn deliver(&self, message: &Message) -> Delivery {
        let mail = match self.mail(message) {
            Ok(mail) => mail,
            Err(error) => return Delivery::Refused { why: with_causes(&error) },
        };
        // The library's own time-out is per command; a server can be slow many times over.
        let sent = tokio::time::timeout(self.timeout * COMMANDS, self.transport.send(mail));
        match sent.await {
            Ok(Ok(_)) => Delivery::Sent,
            Ok(Err(error)) => judge(&error, &self.secrets),
            Err(_) => Delivery::Retry { after: None, why: "the server did not respond in time".to_owned() },
        }
    }

    fn mail(&self, message: &Message) -> Result<lettre::Message, lettre::error::Error> {
        let domain = self.from.email.domain();
        let loudness = if message.kind.is_loud() { "[!] " } else { "" };
        let subject = one_line(&format!("{loudness}{}", message.title), SUBJECT_CHARS_MAX);
        let mut mail = lettre::Message::builder()
            .from(self.from.clone())
            .subject(subject)
            .date(SystemTime::from(message.at))
            .message_id(Some(format!("<{}@{domain}>", message.id)))
            // Prevents out-of-office replies.
            .raw_header(raw("Auto-Submitted", "auto-generated"));
        let thread = format!("<{}.1@{domain}>", message.incident);
        if !matches!(message.phase, Phase::Opened | Phase::Single) {
            mail = mail.in_reply_to(thread.clone()).references(thread);
        }
        for to in &self.to {
            mail = mail.to(to.clone());
        }
        let parts = MultiPart::alternative()
            .boundary(format!("=_{}", message.id.replace(|c: char| !c.is_ascii_alphanumeric(), "_")))
            .singlepart(SinglePart::plain(text(message)))
            .singlepart(SinglePart::builder().header(header::ContentType::TEXT_HTML).body(html(message)));
        mail.multipart(parts)
    }
}

/// A mail takes a dozen commands, and a healthy server answers each in a fraction of a second.
const COMMANDS: u32 = 3;

const SUBJECT_CHARS_MAX: usize = 150;

fn tls_parameters(settings: &EmailSettings) -> Result<TlsParameters, EmailError> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(roots) = &settings.roots {
        let roots = Certificate::from_pem(roots.as_bytes()).map_err(EmailError::Tls)?;
        builder = builder.add_root_certificate(roots);
    }
    builder.build().map_err(EmailError::Tls)
}

/// The password, plain and as sent: a server may repeat what it rejects.
fn secrets(settings: &EmailSettings) -> Secrets {
    let Some((user, password)) = &settings.credentials else { return Secrets::default() };
    let password = password.expose_secret();
    let sent = [format!("\0{user}\0{password}"), password.to_owned()].map(|text| BASE64.encode(text));
    Secrets::new(sent.into_iter().chain([password.to_owned()]))
}

/// A server's response is either "not now" or "no"; a failed connection may work the next time.
fn judge(error: &lettre::transport::smtp::Error, secrets: &Secrets) -> Delivery {
    let why = secrets.hide(&with_causes(error));
    if error.is_permanent() || error.is_client() {
        Delivery::Refused { why }
    } else {
        Delivery::Retry { after: None, why }
    }
}

fn raw(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn text(message: &Message) -> String {
    let mut text = one_line(&message.title, usize::MAX);
    for paragraph in &message.paragraphs() {
        text.push_str("\n\n");
        text.push_str(&one_line(paragraph, usize::MAX));
    }
    for (name, url) in message.links.named() {
        text.push_str(&format!("\n\n{name}: {url}"));
    }
    format!("{text}\n\n-- \n{}\n", footer(message))
}

fn html(message: &Message) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html><body style=\"font-family: sans-serif\">\n<h2>{}</h2>\n",
        escaped(&message.title)
    );
    for paragraph in &message.paragraphs() {
        page.push_str(&format!("<p>{}</p>\n", escaped(paragraph)));
    }
    for (name, url) in message.links.named() {
        page.push_str(&format!("<p><a href=\"{}\">{name}</a></p>\n", escaped(&url)));
    }
    page.push_str(&format!("<p style=\"color: #666\">{}</p>\n</body></html>\n", escaped(&footer(message))));
    page
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Email, html};
    use crate::config::settings::{EmailSettings, SmtpSecurity};
    use crate::notify::samples;
    use dynowarden_core::incident::message::Message;

    fn settings() -> EmailSettings {
        EmailSettings {
            credentials: None,
            from: "dynowarden@example.com".to_owned(),
            host: "localhost".to_owned(),
            port: 25,
            roots: None,
            security: SmtpSecurity::None,
            to: vec!["ops@example.com".to_owned(), "boss@example.com".to_owned()],
        }
    }

    fn mail(message: &Message) -> String {
        let email = Email::new(&settings(), Duration::from_secs(1)).expect("the settings are right");
        String::from_utf8(email.mail(message).expect("a mail").formatted()).expect("mails are ASCII")
    }

    #[test]
    fn every_message_matches_its_snapshot() {
        for (name, message) in samples::all() {
            insta::assert_snapshot!(format!("email-{name}"), mail(&message).replace('\r', ""));
        }
    }

    #[test]
    fn no_text_can_escape_its_place() {
        let mut message = samples::hostile();
        message.title.push_str("\r\nBcc: everybody@example.com\r\n\r\nbody");
        let mail = mail(&message);
        let (head, _) = mail.split_once("\r\n\r\n").expect("a head");
        assert!(!head.lines().any(|line| line.to_ascii_lowercase().starts_with("bcc")), "{head}");
        let page = html(&message);
        assert!(!page.contains("<script>") && !page.contains("<img") && !page.contains('\r'), "{page}");
    }

    #[test]
    fn a_file_may_hold_several_certificates() {
        let made =
            rcgen::generate_simple_self_signed(["mail.example.com".to_owned()]).expect("a certificate");
        let good = made.cert.pem();
        let bad = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----";
        // A second certificate that is wrong is an error only if it is read.
        for (file, is_right) in [(format!("text\n{good}\n{good}"), true), (format!("{good}\n{bad}"), false)] {
            let roots = Some(file.as_str().into());
            let settings = EmailSettings { roots, security: SmtpSecurity::Tls, ..settings() };
            assert_eq!(Email::new(&settings, Duration::from_secs(1)).is_ok(), is_right, "{file}");
        }
    }
}
