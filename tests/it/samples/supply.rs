//! What others deliver: images by digest, actions by commit; and the sample in the manual that receivers
//! copy.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::samples::read;

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[test]
fn images_are_named_by_digest_and_actions_by_commit() {
    let mut pinned = 0;
    for file in ["Dockerfile", "deploy/compose.yaml", "deploy/compose.replicas.yaml"] {
        for line in read(file).lines() {
            let image = line.strip_prefix("FROM ").or_else(|| line.trim().strip_prefix("image: "));
            let Some(image) = image.map(|image| image.split(' ').next().unwrap_or(image)) else { continue };
            // The image that the same file builds.
            if image == "dynowarden" {
                continue;
            }
            let digest = image.split_once("@sha256:").map(|(_, digest)| digest);
            assert!(digest.is_some_and(|digest| is_hex(digest, 64)), "{file}: {line}");
            pinned += 1;
        }
    }
    for line in read(".github/workflows/ci.yml").lines() {
        let Some((_, action)) = line.split_once("uses: ") else { continue };
        let (_, commit) = action.split_once('@').expect(action);
        assert!(is_hex(commit.split(' ').next().unwrap_or(commit), 40), "{line}");
        pinned += 1;
    }
    assert!(pinned >= 8, "{pinned}");
}

/// The sample of the manual, and then what is asked of it.
const CHECKS: &str = r#"
now = str(int(time.time()))
secret, body = b"a secret", b'{"version":1}'
def signed(at): return hmac.new(secret, at.encode() + b"." + body, hashlib.sha256).hexdigest()
right = signed(now)
assert right != signed("1700000000") == "cc3e6b62f9f172cec5b021a2421d42af369ed3431d05ace2a8603bdfa3604ed1"
for header in [f"t={now},v1={right}", f"t={now}, v1={right}, v2=x", f"v1={right},t={now}"]:
    assert is_genuine(secret, header, body) is True, header
assert is_genuine(b"another", f"t={now},v1={right}", body) is False
assert is_genuine(secret, f"t={now},v1={right}", body + b" ") is False
old = "1700000000"
for header in [
    None, "", ",", "=", "t", "t=", "v1=", f"t={now}", f"v1={right}", f"t={now},v1=", f"t={now},v1={right[1:]}",
    f"t=x,v1={right}", f"t=-1,v1={right}", f"t=1e9,v1={right}", f"t={'9' * 5000},v1={right}",
    f"t={old},v1={signed(old)}", f"t=²³,v1={right}", f"t=٣,v1={right}", f"t={now},v1=é", f"t={now},v1=\udc80",
    f"t={now}.5,v1={right}", f" t = {now} , v1 = {right}", "\x00", "é" * 1000,
]:
    assert is_genuine(secret, header, body) is False, header
print("checked")
"#;

#[test]
fn the_sample_that_verifies_a_signature_never_raises() {
    let manual = read("docs/webhook.md");
    let (_, sample) = manual.split_once("```python\n").expect("a sample in Python");
    let (sample, _) = sample.split_once("```").expect("its end");
    let mut python = Command::new("python3")
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 is installed, because the sample is in Python");
    let program = format!("{sample}\n{CHECKS}");
    python.stdin.take().expect("piped").write_all(program.as_bytes()).expect("written");
    let output = python.wait_with_output().expect("it ends");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.trim() == "checked", "{out}{err}");
}
