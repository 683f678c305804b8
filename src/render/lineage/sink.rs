//! Where events go: to the end of a file, or to a service in a thread of its own, so that a slow one delays nothing and one
//! that is down fails nothing.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use url::Url;

use super::identity::Target;
use crate::error::{CliError, cause};
use crate::render::appended::Appended;

/// How long one event may take to be delivered.
const EACH: Duration = Duration::from_secs(5);
/// How long the last events may take after the run, all together.
const AT_THE_END: Duration = Duration::from_secs(10);
/// How often an event is sent, and what lies between; once, after one that did not arrive.
const ATTEMPTS: usize = 2;
const BETWEEN: Duration = Duration::from_millis(300);

/// Takes events.
pub struct Sink {
    name: String,
    sent: usize,
    place: Place,
}

enum Place {
    File { file: Appended, lost: Vec<String> },
    Service { queue: Sender<Vec<u8>>, answers: Receiver<Result<(), String>> },
}

impl Sink {
    /// Opens a file, or starts the thread that sends.
    ///
    /// # Errors
    /// [`CliError::Usage`] when the file cannot be written.
    pub fn open(target: Target) -> Result<Self, CliError> {
        let (name, place) = match target {
            Target::File(path) => {
                (path.display().to_string(), Place::File { file: Appended::open(&path)?, lost: Vec::new() })
            }
            Target::Service { url, api_key } => {
                let (queue, events) = channel();
                let (answer, answers) = channel();
                let name = format!("{}{}", url.origin().ascii_serialization(), url.path());
                std::thread::spawn(move || send_all(&url, api_key.as_deref(), &events, &answer));
                (name, Place::Service { queue, answers })
            }
        };
        Ok(Self { name, sent: 0, place })
    }

    /// Takes one event; what did not arrive is reported at the end.
    pub fn take(&mut self, event: &Value) {
        self.sent += 1;
        match &mut self.place {
            Place::File { file, lost } => lost.extend(file.line(event).err().map(|e| e.to_json()["what"].to_string())),
            Place::Service { queue, .. } => drop(queue.send(event.to_string().into_bytes())),
        }
    }

    /// Waits for the last events, for a while; says how many are lost, and why.
    pub fn close(self) -> Option<String> {
        let lost = match self.place {
            Place::File { lost, .. } => lost,
            Place::Service { queue, answers } => {
                drop(queue);
                unanswered(&answers, self.sent, AT_THE_END)
            }
        };
        let why = lost.first()?;
        let (lost, sent, name) = (lost.len(), self.sent, &self.name);
        Some(format!("{lost} of {sent} lineage events did not reach {name}: {why}"))
    }
}

/// Collects why events did not arrive, until all have an answer or the time is over.
#[expect(clippy::disallowed_methods, reason = "how long the end of a run may wait")]
fn unanswered(answers: &Receiver<Result<(), String>>, sent: usize, within: Duration) -> Vec<String> {
    let until = Instant::now() + within;
    let mut lost = Vec::new();
    for answered in 0..sent {
        match answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Ok(())) => {}
            Ok(Err(why)) => lost.push(why),
            Err(_) => {
                lost.resize_with(lost.len() + sent - answered, || "no answer in time".to_owned());
                break;
            }
        }
    }
    lost
}

/// Sends events one after another, as their order counts, and answers for each.
fn send_all(url: &Url, api_key: Option<&str>, events: &Receiver<Vec<u8>>, answer: &Sender<Result<(), String>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let client = reqwest::Client::builder().timeout(EACH).connect_timeout(EACH).build();
    let mut attempts = ATTEMPTS;
    for event in events {
        let sent = match (&runtime, &client) {
            (Ok(runtime), Ok(client)) => {
                let request = client.post(url.clone()).header("content-type", "application/json").body(event);
                let request = if let Some(key) = api_key { request.bearer_auth(key) } else { request };
                runtime.block_on(deliver(&request, attempts))
            }
            (Err(error), _) => Err(error.to_string()),
            (_, Err(error)) => Err(cause(error)),
        };
        attempts = if sent.is_ok() { ATTEMPTS } else { 1 };
        if answer.send(sent).is_err() {
            return; // nobody waits any more
        }
    }
}

async fn deliver(request: &reqwest::RequestBuilder, attempts: usize) -> Result<(), String> {
    let mut last = String::new();
    for attempt in 0..attempts {
        if attempt > 0 {
            tokio::time::sleep(BETWEEN).await;
        }
        let request = request.try_clone().expect("a body of bytes is cloned");
        match request.send().await {
            Ok(response) if response.status().is_success() => return Ok(()),
            Ok(response) if response.status().is_client_error() => return Err(format!("HTTP {}", response.status())),
            Ok(response) => last = format!("HTTP {}", response.status()),
            Err(error) => last = cause(&error),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;

    use serde_json::json;

    use super::*;

    fn service(port: u16, api_key: Option<&str>) -> Sink {
        let url = Url::parse(&format!("http://127.0.0.1:{port}/api/v1/lineage")).unwrap();
        Sink::open(Target::Service { url, api_key: api_key.map(str::to_owned) }).unwrap()
    }

    /// Answers `count` requests with a status; returns the heads and bodies.
    fn answering(listener: TcpListener, count: usize, status: &'static str) -> std::thread::JoinHandle<Vec<String>> {
        std::thread::spawn(move || {
            let mut heard = Vec::new();
            while heard.len() < count {
                let mut stream = BufReader::new(listener.accept().unwrap().0);
                loop {
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") {
                        if stream.read_line(&mut head).unwrap_or(0) == 0 {
                            break;
                        }
                    }
                    if head.is_empty() {
                        break;
                    }
                    let length =
                        head.lines().find_map(|l| l.strip_prefix("content-length: ")).unwrap().parse().unwrap();
                    let mut body = vec![0; length];
                    stream.read_exact(&mut body).unwrap();
                    heard.push(format!("{head}{}", String::from_utf8(body).unwrap()));
                    write!(stream.get_mut(), "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").unwrap();
                    if heard.len() == count {
                        break;
                    }
                }
            }
            heard
        })
    }

    #[test]
    fn a_service_hears_every_event_in_order_with_the_key() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sink = service(listener.local_addr().unwrap().port(), Some("secret"));
        let heard = answering(listener, 3, "201 Created");
        (0..3).for_each(|n| sink.take(&json!({ "n": n })));
        assert_eq!(sink.close(), None);
        for (n, request) in heard.join().unwrap().iter().enumerate() {
            assert!(request.starts_with("POST /api/v1/lineage HTTP/1.1"), "{request}");
            assert!(request.contains("authorization: Bearer secret"), "{request}");
            assert!(request.ends_with(&format!("{{\"n\":{n}}}")), "{request}");
        }
    }

    #[test]
    fn a_refusal_is_told_once_and_not_repeated() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sink = service(listener.local_addr().unwrap().port(), None);
        let heard = answering(listener, 2, "422 Unprocessable Entity");
        (0..2).for_each(|n| sink.take(&json!({ "n": n })));
        let report = sink.close().unwrap();
        assert!(report.starts_with("2 of 2 lineage events did not reach http://127.0.0.1:"), "{report}");
        assert!(report.ends_with("HTTP 422 Unprocessable Entity"), "{report}");
        assert_eq!(heard.join().unwrap().len(), 2);
    }

    #[test]
    fn a_service_that_is_down_costs_one_sentence() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port(); // closed again
        let mut sink = service(port, None);
        sink.take(&json!({}));
        assert!(sink.close().unwrap().contains("refused"));
    }

    #[test]
    fn a_service_that_never_answers_is_not_waited_for_beyond_the_limit() {
        let (_silent, answers) = channel();
        let begun = Instant::now();
        let lost = unanswered(&answers, 3, Duration::from_millis(50));
        assert_eq!(lost.len(), 3);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
