//! `dynowarden replay` over lines as people have them: every form leads to the same decision, no app's text
//! does, and what cannot be read is reported.

use crate::replay::{gzipped, json, replay};

const MEM: &str = "Process running mem=836M(163.4%)";
const R14: &str = "Error R14 (Memory quota exceeded)";
const AT: &str = "2025-01-02T00:51:32.761835+00:00";
const TOKEN: &str = "d.fc6b856b-3332-4546-93de-7d0ee272c3bd";

/// The decisions, as `dyno decision reason`.
fn decisions(file: &[u8]) -> Vec<String> {
    let word = |decision: &serde_json::Value, key| decision[key].as_str().expect(key).to_owned();
    let decisions = json("--app acme -", file);
    decisions.iter().map(|d| ["dyno", "decision", "reason"].map(|key| word(d, key)).join(" ")).collect()
}

/// A file of two lines made by `form`, whose first is evidence for the second.
fn check(form: impl Fn(&str) -> String) {
    let file = format!("{}\n{}\n", form(MEM), form(R14));
    let expect = ["web.1 restart R14 (Memory quota exceeded) at 836 MB (163.4% of its quota)"];
    assert_eq!(decisions(file.as_bytes()), expect, "{file}");
    assert_eq!(decisions(&gzipped(file.as_bytes())), expect, "{file}");
    let wide = |order: fn(u16) -> [u8; 2]| -> Vec<u8> {
        "\u{feff}".encode_utf16().chain(file.encode_utf16()).flat_map(order).collect()
    };
    assert_eq!(decisions(&wide(u16::to_le_bytes)), expect, "{file}");
    assert_eq!(decisions(&wide(u16::to_be_bytes)), expect, "{file}");
}

#[test]
fn text_in_any_form_is_read() {
    for front in [
        format!("    {AT} heroku[web.1]: "),
        format!("- {AT} heroku[web.1]: "),
        format!("> > {AT} heroku[web.1]: "),
        format!("16:55:43 logs.1 | {AT} heroku[web.1]: "),
        format!("tail_1  | {AT} heroku[web.1]: "),
        format!("[36m{AT} heroku[web.1]:[0m "),
        format!("\x1b[36m{AT} heroku[web.1]:\x1b[0m "),
        format!("^[[36m{AT} heroku[web.1]:^[[0m "),
        format!("<134>1 {AT} host heroku web.1 - "),
        format!("{AT} host heroku web.1 - "),
        "Jan 02 00:51:32 acme heroku/web.1: ".to_owned(),
        "Jan 02 00:51:32 acme heroku/web.1 ".to_owned(),
        "Jan 02 00:51:32 acme Heroku/web.1: ".to_owned(),
        "Jan 02 00:51:32 acme heroku.web.1: ".to_owned(),
        format!("Jan  2 00:51:32 {TOKEN} heroku[web.1]: "),
        format!("{AT} {TOKEN} heroku[web.1]: "),
        format!("{AT} acme heroku[web.1]: "),
        format!("Jan 02 00:51:33 box heroku-tail[812]: {AT} heroku[web.1]: "),
        format!("7\t{AT}\t{AT}\t1\tacme\t10.0.0.1\tLocal7\tInfo\theroku/web.1\t"),
    ] {
        check(|msg| format!("{front}{msg}"));
    }
}

/// What tools put in front of a line, between its parts or in place of its time.
#[test]
fn text_as_tools_show_it_is_read() {
    for front in [
        format!("heroku.log:{AT} heroku[web.1]: "),
        format!("./logs/heroku.log.1:123:{AT} heroku[web.1]: "),
        format!("heroku.log-123-{AT} heroku[web.1]: "),
        format!("123:{AT} heroku[web.1]: "),
        "123:Jan 02 00:51:32 acme heroku/web.1: ".to_owned(),
        format!("     12 {AT} heroku[web.1]: "),
        format!("# {AT} heroku[web.1]: "),
        format!("- [ ] {AT} heroku[web.1]: "),
        format!("[logs] {AT} heroku[web.1]: "),
        format!("[pod/logs-5d4f/tail] {AT} heroku[web.1]: "),
        format!("4:55:43 PM logs.1    | {AT} heroku[web.1]: "),
        format!("0|logs     | {AT} heroku[web.1]: "),
        format!("acme_logs.1.k3j@box    | {AT} heroku[web.1]: "),
        format!("2025-01-02T00:51:33Z acme/stream {AT} heroku[web.1]: "),
        format!("2025-01-02T00:51:33Z stderr F <134>1 {AT} host heroku web.1 - "),
        format!("2025-01-02T00:51:33Z {{app=\"acme\", job=\"heroku\"}} {AT} heroku[web.1]: "),
        format!("Thu 2025-01-02 00:51:33 UTC box tail[812]: {AT} heroku[web.1]: "),
        format!("1735779093.5 box tail[812]: {AT} heroku[web.1]: "),
        format!("{AT}  heroku[web.1]: "),
        format!("{AT}\u{a0}heroku[web.1]:\u{a0}"),
        format!("{AT} heroku[web.1] - "),
        format!("{AT} heroku[web.1] : "),
        format!("{AT} [info] heroku[web.1]: "),
        format!("Jan  2 00:51:32 {TOKEN} local0.info heroku[web.1]: "),
        format!("Jan  2 00:51:32 {TOKEN} heroku web.1: "),
        format!("[{AT}] heroku[web.1]: "),
        format!("{AT}\theroku/web.1\t"),
        format!("{AT}\tacme\theroku[web.1]\t"),
        format!("{AT}\theroku\tweb.1\t"),
        format!("{AT}\theroku[web.1]: "),
        format!("{AT}\t{AT} heroku[web.1]: "),
        format!("1735779092761000000\t{AT}\t{AT} heroku[web.1]: "),
        format!("EVENTS\t1735779092770\t{AT} heroku[web.1]: "),
        format!("{AT}|heroku/web.1|"),
    ] {
        check(|msg| format!("{front}{msg}"));
    }
    check(|msg| format!("| {AT} | heroku/web.1 | {msg} |"));
    check(|msg| format!("EVENTS\t1735779092770\t{AT} heroku[web.1]: {msg}\t1735779092761"));
}

/// Names and values on a line, entries of a journal, and Loki's first form of a stream.
#[test]
fn rows_of_text_are_read() {
    use serde_json::json;
    check(|msg| format!("time={AT} source=heroku dyno=web.1 msg=\"{msg}\""));
    check(|msg| format!("appname=heroku hostname=host message=\"{msg}\" procid=web.1 timestamp={AT}"));
    check(|msg| format!("level=info ts={AT} msg=\"{AT} heroku[web.1]: {msg}\""));
    let journal = |more: &str| {
        format!(
            "__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=1735779092761835\n__MONOTONIC_TIMESTAMP=1\n_PID=812\n{more}\n"
        )
    };
    check(|msg| journal(&format!("SYSLOG_IDENTIFIER=tail\nMESSAGE={AT} heroku[web.1]: {msg}\n")));
    check(|msg| journal(&format!("SYSLOG_IDENTIFIER=heroku\nSYSLOG_PID=web.1\nMESSAGE={msg}")));
    check(|msg| format!("\u{201c}{AT} heroku[web.1]: {msg}\u{201d}"));
    check(|msg| format!("  \"{AT} heroku[web.1]: {msg}\","));
    for (labels, lines) in [
        ("{app=\"heroku\", proc=\"web.1\"}", [MEM.to_owned(), R14.to_owned()]),
        ("{job=\"heroku\"}", [MEM, R14].map(|msg| format!("{AT} heroku[web.1]: {msg}"))),
    ] {
        let entries = lines.map(|line| json!({"ts": AT, "line": line}));
        let document = json!({"streams": [{"labels": labels, "entries": entries}]});
        for file in [document.to_string(), serde_json::to_string_pretty(&document).expect("JSON")] {
            let expect = ["web.1 restart R14 (Memory quota exceeded) at 836 MB (163.4% of its quota)"];
            assert_eq!(decisions(file.as_bytes()), expect, "{file}");
        }
    }
}

#[test]
fn a_time_without_seconds_is_reported() {
    for line in [
        format!("2025-01-02 00:51 heroku[web.1]: {R14}"),
        format!("Jan 02 00:51 acme heroku/web.1: {R14}"),
        format!("time,program,message\n1/2/2025 0:51,heroku/web.1,{R14}"),
    ] {
        let ran = replay("-", "", line.as_bytes());
        ran.result.expect_err("no log");
        assert!(ran.err.contains("its time has no seconds, which a spreadsheet drops"), "{}", ran.err);
    }
}

/// Each of the times is the same moment, whose zone some of them leave out.
#[test]
fn a_time_may_be_written_in_any_of_these_ways() {
    for time in [
        "01/02/2025 00:51:32",
        "1/2/2025 12:51:32 AM",
        "1/2/2025, 12:51:32 AM",
        "1/2/2025 0:51:32",
        "2025/01/02 00:51:32",
        "02.01.2025 00:51:32",
        "2025-01-02 12:51:32 AM",
        "2025-01-02 00:51:32 +0000",
        "2025-01-02T01:51:32+0100",
        "Jan 02 2025 00:51:32",
        "Jan 2, 2025 @ 00:51:32.000",
        "Thu Jan  2 00:51:32 2025",
        "Thu Jan  2 00:51:32 UTC 2025",
        "Thu, 02 Jan 2025 00:51:32 +0000",
        "[02/Jan/2025:00:51:32 +0000]",
        "1735779092",
        "1735779092000",
        "1735779092000000",
        "1735779092000000000",
    ] {
        let export = format!("\"{}\"", time.trim_matches(['[', ']']));
        let is_field = !time.starts_with('[');
        for file in [
            format!("{time} acme heroku/web.1: {R14}\n"),
            format!("{time} heroku[web.1]: {R14}\n"),
            format!("{time} app[web.1]: x\n{time} heroku[web.1]: {R14}\n"),
            format!("time,program,message\n{export},heroku/web.1,{R14}\n"),
            serde_json::json!({"time": time, "program": "heroku/web.1", "message": R14}).to_string(),
        ] {
            if !is_field && !file.starts_with('[') {
                continue;
            }
            let decisions = json("--app acme -", file.as_bytes());
            let at: Vec<_> =
                decisions.iter().map(|decision| decision["at"].as_str().expect("a time")).collect();
            assert_eq!(at.len(), 1, "{file}");
            assert_eq!(at[0].trim_end_matches('Z'), "2025-01-02T00:51:32", "{file}");
        }
    }
}

/// The order of days and months is the file's, and a line that contradicts it is reported.
#[test]
fn a_date_in_another_order_is_not_read() {
    let line = |date: &str| format!("{date} 00:51:32 heroku[web.1]: {R14}\n");
    let ran = replay("--format json -", "", (line("13/01/2025") + &line("02/02/2025")).as_bytes());
    assert!(ran.out.contains("2025-01-13") && ran.out.contains("2025-02-02"), "{}", ran.out);
    assert!(!ran.err.contains("not read"), "{}", ran.err);
    let file = line("01/02/2025") + &line("13/01/2025") + &line("14/01/2025");
    let ran = replay("--format json -", "", file.as_bytes());
    assert_eq!(ran.out.lines().count(), 1);
    let expect = "2 lines were not read, first -:2: its day and its month are in another order than";
    assert!(ran.err.starts_with(expect), "{}", ran.err);
}

/// A platform line that looks read and says nothing is none.
#[test]
fn a_message_with_something_in_front_of_it_is_reported() {
    for msg in [format!("INFO {R14}"), format!("web.1 {MEM}"), format!("[heroku] {R14}")] {
        let line = format!("{AT} heroku[web.1]: {msg}\n");
        let ran = replay("-", "", format!("{AT} app[web.1]: x\n{line}").as_bytes());
        ran.result.expect("a log");
        let expect = "1 line was not read: -:2: a platform line with text in front of its message";
        assert!(ran.err.starts_with(expect), "{}", ran.err);
    }
    let run = format!("{AT} heroku[web.1]: Starting process with command `x Error R14`\n");
    assert!(!replay("-", "", run.as_bytes()).err.contains("not read"));
    // A client asks for any path.
    let router = format!("{AT} heroku[router]: at=info method=GET path=\"/?q=Error R14\" dyno=web.1\n");
    assert!(!replay("-", "", router.as_bytes()).err.contains("not read"));
}

#[test]
fn a_packed_file_is_refused_with_the_command_that_unpacks_it() {
    for (file, expect) in [
        (&b"PK\x03\x04xxxxxx"[..], "-: cannot be read: it is a zip archive"),
        (b"\x28\xb5\x2f\xfdxxxx", "`zstd -dc FILE | dynowarden replay -`"),
    ] {
        let ran = replay("-", "", file);
        let error = ran.result.expect_err(expect);
        let text = format!("{:#}", anyhow::Error::from(error));
        assert!(text.contains(expect), "{text}");
    }
}

#[test]
fn json_exports_are_read() {
    use serde_json::{Value, json};
    let rows: [fn(&str) -> Value; 8] = [
        |msg| json!({"dt": AT, "message": msg, "syslog": {"appname": "heroku", "hostname": "host", "procid": "web.1"}}),
        |msg| json!({"timestamp": 1_749_520_194_209_u64, "message": format!("{AT} heroku[web.1]: {msg}")}),
        |msg| json!({"time": 1_749_520_194_u64, "program": "heroku/web.1", "msg": msg, "hostname": "acme"}),
        |msg| json!({"dt": "2025-06-10 01:49:54 UTC", "message": msg, "syslog.appname": "heroku", "syslog.procid": "web.1"}),
        |msg| json!({"_ts": 1_749_520_194_209_u64, "_line": msg, "_app": "heroku/web.1", "_host": "acme"}),
        |msg| json!({"log": format!("{AT} heroku[web.1]: {msg}\n"), "stream": "stdout", "time": AT}),
        |msg| json!({"timestamp": AT, "source": "heroku", "dyno": "web.1", "message": msg}),
        |msg| json!({"__REALTIME_TIMESTAMP": "1749520194209000", "MESSAGE": format!("{AT} heroku[web.1]: {msg}")}),
    ];
    for row in rows {
        check(|msg| row(msg).to_string());
    }
    let rows = [rows[2](MEM), rows[2](R14)];
    for file in [
        Value::from(rows.to_vec()).to_string(),
        serde_json::to_string_pretty(&rows).expect("JSON"),
        json!({"events": rows, "min_id": "7"}).to_string(),
    ] {
        assert_eq!(decisions(file.as_bytes()).len(), 1, "{file}");
    }
}

/// One row of each log service, as its own export writes it.
#[test]
fn rows_of_log_services_are_read() {
    use serde_json::{Value, json};
    fn raw(msg: &str) -> String {
        format!("<134>1 {AT} host heroku web.1 - {msg}")
    }
    fn shown(msg: &str) -> String {
        format!("{AT} heroku[web.1]: {msg}")
    }
    let rows: [fn(&str) -> Value; 27] = [
        // The header is in the message, and the other fields are about the service.
        |msg| json!({"date": AT, "host": "acme", "service": "heroku", "source": "heroku", "message": raw(msg)}),
        |msg| json!({"preview": false, "result": {"_time": AT, "_raw": raw(msg), "host": "acme", "source": "heroku"}}),
        |msg| json!({"time": 1_749_520_194, "host": "acme", "source": "heroku", "event": shown(msg)}),
        |msg| json!({"labels": {"app": "acme", "job": "heroku"}, "line": shown(msg), "timestamp": AT}),
        |msg| json!({"timestamp": AT, "applicationName": "acme", "subsystemName": "heroku", "text": raw(msg)}),
        |msg| json!({"@timestamp": AT, "app": "acme", "host": "10.0.0.1", "message": raw(msg)}),
        |msg| json!({"timestamp": 1_749_520_194_209_u64, "message": format!("94 {}", raw(msg))}),
        |msg| json!({"map": {"_messagetime": "1749520194209", "_raw": raw(msg), "_sourcehost": "acme"}}),
        |msg| json!({"timestamp": AT, "textPayload": shown(msg), "resource": {"type": "global"}}),
        |msg| json!({"timestamp": AT, "logmsg": raw(msg), "event": {"syslog": {"appName": "heroku", "procId": "web.1"}}}),
        // The header is in fields, under the service's names for them.
        |msg| json!({"labels": {"app": "heroku", "proc": "web.1"}, "line": msg, "timestamp": AT}),
        |msg| json!({"version": "1.1", "short_message": msg, "timestamp": 1_749_520_194.5, "_application_name": "heroku", "_process_id": "web.1"}),
        |msg| json!({"timestamp": AT, "source": TOKEN, "application_name": "heroku", "process_id": "web.1", "message": msg}),
        |msg| json!({"@timestamp": AT, "syslog5424_app": "heroku", "syslog5424_proc": "web.1", "message": msg}),
        |msg| json!({"@timestamp": AT, "message": msg, "syslog-tag": "heroku[web.1]"}),
        |msg| json!({"TimeGenerated": AT, "ProcessName": "heroku", "ProcessID": "web.1", "SyslogMessage": msg}),
        |msg| json!({"eventTime": AT, "programName": "heroku/web.1", "logMessage": msg}),
        |msg| json!({"_ts": 1_749_520_194_209_u64, "_line": msg, "_app": "web.1", "source": "heroku"}),
        |msg| json!({"SYSLOG_IDENTIFIER": "heroku", "SYSLOG_PID": "web.1", "MESSAGE": msg, "__REALTIME_TIMESTAMP": "1749520194209000"}),
        // In lists.
        |msg| json!({"fields": {"@timestamp": [AT], "message": [msg], "syslog.appname": ["heroku"], "syslog.procid": ["web.1"]}}),
        |msg| json!({"timeUnixNano": "1749520194209000000", "body": {"stringValue": shown(msg)}, "attributes": []}),
        |msg| {
            json!({"timeUnixNano": "1749520194209000000", "body": {"stringValue": msg}, "attributes": [
            {"key": "appname", "value": {"stringValue": "heroku"}}, {"key": "proc_id", "value": {"stringValue": "web.1"}}]})
        },
        |msg| {
            json!({"metadata": [{"key": "timestamp", "value": AT}], "labels": [{"key": "applicationname", "value": "acme"}],
            "userData": json!({"text": raw(msg)}).to_string()})
        },
        |msg| {
            json!({"__REALTIME_TIMESTAMP": "1749520194209000", "SYSLOG_IDENTIFIER": "tail",
            "MESSAGE": format!("\u{1b}[36m{}", shown(msg)).into_bytes()})
        },
        |msg| json!({"TimeGenerated [UTC]": "6/10/2025, 1:49:54.209 AM", "ProcessName": "heroku", "ProcessID": "web.1", "SyslogMessage": msg}),
        // The message is JSON with the line's fields.
        |msg| json!({"dt": "2025-06-10 01:49:54 UTC", "raw": json!({"dt": AT, "message": msg, "syslog": {"appname": "heroku", "procid": "web.1"}}).to_string()}),
        |msg| json!({"timestamp": AT, "applicationName": "acme", "text": json!({"heroku": {"source": "heroku", "dyno": "web.1"}, "message": msg}).to_string()}),
    ];
    for row in rows {
        check(|msg| row(msg).to_string());
    }
    // Behind what a tool writes in front of it.
    for front in ["logs-1  | ", "[pod/logs/tail] ", "heroku.log:7:", "2025-06-10T01:49:54.300Z acme/stream "]
    {
        check(|msg| format!("{front}{}", rows[0](msg)));
        check(|msg| format!("{front}{}", json!({"ts": AT, "program": "heroku/web.1", "message": msg})));
    }
}

/// What the APIs of log services answer, in one line and in many.
#[test]
fn rows_within_a_document_are_read() {
    use serde_json::{Value, json};
    let line = |msg: &str| format!("{AT} heroku[web.1]: {msg}");
    let at = "1735779092761835000";
    let row = |msg: &str| json!({"time": AT, "program": "heroku/web.1", "message": msg});
    let rows = [row(MEM), row(R14)];
    let named =
        |msg: &str| json!([{"field": "@timestamp", "value": AT}, {"field": "@message", "value": line(msg)}]);
    let stream = |stream: Value, lines: [String; 2]| {
        let [one, two] = lines;
        json!({"status": "success", "data": {"result": [{"stream": stream, "values": [[at, one], [at, two]]}], "stats": {"n": 1}}})
    };
    for document in [
        json!({"took": 5, "hits": {"total": {"value": 2}, "hits": [{"_source": rows[0]}, {"_source": rows[1]}]}}),
        json!({"fields": [{"name": "_raw"}], "messages": [], "results": rows, "highlighted": {}}),
        json!({"data": {"actor": {"account": {"nrql": {"results": rows}}}}}),
        json!({"events": rows, "searched": [{"name": "x", "done": true}]}),
        json!({"results": [named(MEM), named(R14)], "statistics": {"matched": 2.0}}),
        json!([line(MEM), line(R14)]),
        json!([[rows[0]], [rows[1]]]),
        stream(json!({"job": "heroku"}), [line(MEM), line(R14)]),
        stream(json!({"app": "heroku", "proc": "web.1"}), [MEM.to_owned(), R14.to_owned()]),
    ] {
        let pretty = serde_json::to_string_pretty(&document).expect("JSON");
        let padded = json!({"document": document, "padding": vec![1; 40_000]}).to_string();
        for file in [document.to_string(), pretty.replace('\n', "\r\n"), pretty, padded] {
            let ran = replay("--app acme --format json -", "", file.as_bytes());
            ran.result.expect("a log");
            assert_eq!(ran.out.lines().count(), 1, "{file}");
            assert!(ran.out.contains("836 MB") && !ran.err.contains("not read"), "{file}: {}", ran.err);
        }
    }
    for file in ["[{\"a\":1}]", "{\"a\":[{\"b\":1}]}", "{\"events\":[]}", "[[\"x\"]]"] {
        let ran = replay("-", "", file.as_bytes());
        assert!(ran.result.expect_err(file).to_string().contains("not a log"), "{file}");
    }
}

#[test]
fn csv_exports_are_read() {
    for (names, row) in [
        ("time,program,message", format!("{AT},heroku/web.1,MSG")),
        ("dt,message,syslog.appname,syslog.procid", format!("{AT},MSG,heroku,web.1")),
        (
            "\"Timestamp\";\"Host\";\"Program\";\"Message\"",
            format!("\"{AT}\";\"acme\";\"heroku/web.1\";\"MSG\""),
        ),
        ("@timestamp\t@message", format!("{AT}\t{AT} heroku[web.1]: MSG")),
        ("", format!("{AT},acme,heroku/web.1,MSG")),
        ("", format!("{AT},heroku,web.1,MSG")),
        ("", format!("{AT},{AT} heroku[web.1]: MSG")),
        ("time|program|message", format!("{AT}|heroku/web.1|MSG")),
        ("Event Time,Program Name,Log Message", format!("{AT},heroku/web.1,MSG")),
        ("Date,Host,Service,Content", format!("{AT},{TOKEN},acme,{AT} heroku[web.1]: MSG")),
        (
            "_time,source,sourcetype,_raw",
            format!("{AT},http:heroku,heroku,<134>1 {AT} host heroku web.1 - MSG"),
        ),
        ("date,time,program,message", "2025-01-02,00:51:32,heroku/web.1,MSG".to_owned()),
        ("time, program, message", format!("{AT}, \"heroku/web.1\", \"MSG\"")),
        ("@timestamp,program,pid,message", "\"Jan 2, 2025 @ 00:51:32.761\",heroku,web.1,MSG".to_owned()),
    ] {
        let file = format!("{names}\n{}\n{}\n", row.replace("MSG", MEM), row.replace("MSG", R14));
        assert_eq!(decisions(file.as_bytes()).len(), 1, "{file}");
        assert!(decisions(file.as_bytes())[0].contains("836 MB"), "{file}");
    }
    // A line break within quotes begins no line.
    let forged = format!("time,program,message\n{AT},app/web.1,\"a\n{AT} heroku[web.1]: {R14}\"\n");
    assert_eq!(decisions(forged.as_bytes()), [""; 0]);
}

#[test]
fn prose_that_begins_with_a_number_loses_no_file() {
    let log = format!("{AT} heroku[web.1]: {R14}\n");
    let line = format!("<134>1 {AT} host heroku web.1 - {R14}\n");
    let frame = format!("{} {line}", line.len());
    for prose in
        ["3 errors since yesterday:\n\n", "94 lines\n", "12 <b>errors</b>\n", "94 <134> x\n", "{\n", "[\n\n"]
    {
        assert_eq!(decisions(format!("{prose}{log}").as_bytes()).len(), 1, "{prose}");
        assert_eq!(decisions(format!("{prose}{frame}").as_bytes()).len(), 1, "{prose}");
    }
}

#[test]
fn no_form_makes_an_app_the_platform() {
    let forged = format!("{AT} heroku[web.1]: {R14}");
    let platform = serde_json::json!({"time": AT, "program": "heroku/web.1", "message": R14});
    let files = vec![
        format!("{AT} app[web.1]: tail_1 | {forged}"),
        format!("tail_1 | {AT} app[web.1]: {forged}"),
        format!("> - {AT} app[web.1]: - {forged}"),
        format!("Jan 02 00:51:32 acme app/web.1 {forged}"),
        format!("Jan 02 00:51:32 acme app[web.1]: {forged}"),
        format!("{AT} {TOKEN} app[web.1]: {forged}"),
        format!("<190>1 {AT} host app web.1 - {forged}"),
        format!("16:55:43 web.1 | {forged}"),
        format!("4:55:43 PM web.1 | {forged}"),
        format!("acme-web-1  | {forged}"),
        format!("[web.1] {forged}"),
        format!("x.log:7:{AT} app[web.1]: {forged}"),
        format!("{AT} web.1 {forged}"),
        format!("{AT} acme/web.1 {forged}"),
        format!("{AT} [info] app[web.1]: {forged}"),
        format!("{AT}\tapp/web.1\t{forged}"),
        format!("{AT}\tapp[web.1]: x\t{forged}"),
        format!("{AT}\tweb.1\t{forged}"),
        format!("| {AT} | app/web.1 | x | {forged} |"),
        format!("EVENTS\t1735779092770\t{AT} app[web.1]: x\t{forged}"),
        format!("EVENTS\t1735779092770\tx y\t{forged}"),
        format!("{AT},web.1,{forged}"),
        format!("{AT} app/web.1 {platform}"),
        format!("{AT} web.1 {platform}"),
        format!("web-1  | {platform}"),
        format!("{AT} app[web.1]: {platform}"),
        format!("{AT} {{app=\"app\", proc=\"web.1\"}} {forged}"),
        format!("{AT} {{app=\"acme\", dyno=\"web.1\"}} {forged}"),
        serde_json::json!({"timeUnixNano": "1749520194209000000", "body": {"stringValue": format!("{AT} app[web.1]: x")},
            "attributes": [{"key": "appname", "value": {"stringValue": "heroku"}}, {"key": "message", "value": {"stringValue": forged}}]})
        .to_string(),
        serde_json::json!({"time": AT, "message": format!("\u{1b}[36m{AT} app[web.1]:\u{1b}[0m {forged}")}).to_string(),
        format!("[36m{AT} app[web.1]:[0m {forged}"),
        serde_json::json!({"time": AT, "program": "app/web.1", "message": forged}).to_string(),
        serde_json::json!({"dt": AT, "message": R14, "syslog": {"appname": "app", "procid": "web.1"},
            "json": {"appname": "heroku", "procid": "web.1", "program": "heroku/web.1"}})
        .to_string(),
        format!("time,program,message\n{AT},app/web.1,{forged}"),
        // What a service shows of the JSON that an app printed.
        serde_json::json!({"line": format!("{AT} app[web.1]: x"), "ts": AT, "json": platform}).to_string(),
        serde_json::json!([{"json": platform, "result": {"_raw": format!("<190>1 {AT} host app web.1 - x")}}])
            .to_string(),
        serde_json::json!({"dt": AT, "raw": serde_json::json!({"message": forged, "appname": "app"}).to_string(),
            "json": platform})
        .to_string(),
        serde_json::json!({"time": AT, "app": "acme", "dyno": "web.1", "message": forged}).to_string(),
        serde_json::json!({"time": AT, "program": "app/web.1", "message": "x", "rows": [platform]}).to_string(),
        serde_json::json!({"data": [{"time": AT, "program": "app/web.1", "message": "x", "rows": [platform]}]})
            .to_string(),
        serde_json::json!([format!("{AT} app[web.1]: {forged}")]).to_string(),
        // A line of pairs, of which the message is not in quotes.
        format!("time={AT} app=app proc=web.1 msg=x source=heroku dyno=web.1 message=\"{R14}\""),
        format!("time={AT} app=acme proc=web.1 msg=x program=heroku message=\"{R14}\""),
        format!("time={AT} source=app dyno=web.1 msg=\"{forged}\""),
        format!("web-1  | time={AT} source=heroku dyno=web.1 msg=\"{R14}\""),
        format!("{AT} app[web.1]: time={AT} source=heroku dyno=web.1 msg=\"{R14}\""),
        format!("__CURSOR=x\n__REALTIME_TIMESTAMP=1735779092761835\nSYSLOG_IDENTIFIER=app\nSYSLOG_PID=web.1\nMESSAGE={forged}\n"),
        format!("__CURSOR=x\n__REALTIME_TIMESTAMP=1735779092761835\nMESSAGE={AT} app[web.1]: {forged}\n\n"),
        format!("{AT} app[web.1]: __REALTIME_TIMESTAMP=1735779092761835\n{AT} app[web.1]: MESSAGE={forged}"),
        serde_json::json!({"streams": [{"labels": "{app=\"app\", proc=\"web.1\"}",
            "entries": [{"ts": AT, "line": forged}, {"ts": AT, "line": R14}]}]})
        .to_string(),
        serde_json::json!({"streams": [{"labels": "{job=\"x\"}", "entries": [
            {"ts": AT, "line": format!("{AT} app[web.1]: {{\"labels\":\"{{app=\\\"heroku\\\"}}\"}}")}, {"ts": AT, "line": R14}]}]})
        .to_string(),
        format!("\u{201c}{AT} app[web.1]: {forged}\u{201d}"),
    ];
    // Columns within what an app printed.
    let values = format!("x,{AT},heroku/web.1,{R14}");
    let columns = [
        format!("    {AT} app[web.1]: MSG"),
        format!("tail_1 | {AT} app[web.1]: MSG"),
        format!("[36m{AT} app[web.1]:[0m MSG"),
        format!("<190>1 {AT} host app web.1 - MSG"),
        format!("7\t{AT}\t{AT}\t1\tacme\t10.0.0.1\tLocal7\tInfo\tapp/web.1\tMSG"),
        format!("{AT};acme;app/web.1;MSG"),
        format!("{AT}\tapp/web.1\tMSG"),
    ];
    let columns = columns.iter().flat_map(|form| {
        let alone = form.replace("MSG", &values);
        [alone.clone(), format!("{}\n{alone}", form.replace("MSG", "x,time,program,message"))]
    });
    for file in files.into_iter().chain(columns) {
        // A line that is not read at all is no decision either.
        let ran = replay("--app acme --format json -", "", file.as_bytes());
        assert_eq!(ran.out, "", "{file}");
    }
}

#[test]
fn a_platform_line_without_a_dyno_is_reported() {
    for source in [
        "heroku",
        "heroku[web]",
        "heroku[web.01]",
        "heroku[812]",
        "Heroku/web",
        "heroku[web-1234abcde-123ab]",
    ] {
        let line = format!("{AT} {source}: {R14}\n");
        let ran = replay("-", "", line.as_bytes());
        let error = ran.result.expect_err(source).to_string();
        assert!(error.contains("no platform line names a dyno"), "{error}");
        assert!(ran.err.starts_with("1 line was not read: -:1: a platform line"), "{}", ran.err);
        // Beside lines that can be read.
        let ran = replay("-", "", format!("{AT} app[web.1]: hello\n{line}{line}").as_bytes());
        ran.result.expect("a log");
        assert!(ran.err.starts_with("2 lines were not read, first -:2: a platform line"), "{}", ran.err);
        assert!(ran.err.contains(source), "{}", ran.err);
        assert!(ran.err.contains("no platform line names a dyno (2 do not)"), "{}", ran.err);
        let ran = replay("-", "", format!("{AT} heroku[web.1]: {R14}\n{line}").as_bytes());
        assert!(!ran.err.contains("no platform line names"), "{}", ran.err);
    }
}
