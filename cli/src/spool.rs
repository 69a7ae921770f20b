//! The spool: what was accepted while the database couldn't be reached, and what of it can't be stored.

mod queues;

use serde_json::{Value, json};
use shared::clock::Clock;
use shared::settings::Values;
use shared::spool::Message;

use crate::Failure;
use crate::answer::Answer;
use crate::table::{columns, section, time};
use crate::{body, terminal, visible};
use queues::{DeadLetter, MOST, Queues};

/// Of a dead letter to which the spool's own function attached no reason.
const NO_REASON: &str = "SQS gave it up, because it was received a thousand times: the log of drain-spool says why";

pub(crate) async fn list(values: &Values) -> Result<Answer, Failure> {
    let queues = Queues::open(values).await?;
    let (waiting, dead) = (queues.count_waiting().await?, queues.count_dead().await?);
    let letters = if dead == 0 { Vec::new() } else { queues.dead_letters().await? };
    queues.release(&letters).await;
    let mut text = format!("Waiting        {waiting}\nDead letters   {dead}\n");
    if !letters.is_empty() {
        text += "\n";
        text += &columns(["ID", "KIND", "SOURCE", "RECEIVED", "AGE", "REASON"], letters.iter().map(row));
    }
    if letters.len() >= MOST {
        text += "\nThere are more than are listed.\n";
    }
    let listed: Vec<_> = letters.iter().map(document).collect();
    Ok(Answer::new(json!({ "waiting": waiting, "dead": dead, "dead_letters": listed }), &text))
}

pub(crate) async fn show(values: &Values, id: &str) -> Result<Answer, Failure> {
    let queues = Queues::open(values).await?;
    let letters = queues.dead_letters().await?;
    queues.release(&letters).await;
    let letter = find(&letters, id)?;
    let message = Message::parse(&letter.text);
    let received = message.as_ref().map_or(letter.text.as_bytes(), Message::body);
    let mut document = document(letter);
    document["body"] = std::str::from_utf8(received).ok().into();
    let fields = [
        ("kind", letter.kind.clone().unwrap_or_default()),
        ("source", letter.source.clone().unwrap_or_default()),
        ("received", letter.received_at.map(time).unwrap_or_default()),
        ("reason", reason(letter).to_owned()),
    ];
    let text = format!("{}\n{}", section(&format!("Dead letter {id}"), fields), body::lines(Some(received)));
    Ok(Answer::new(document, &text))
}

/// All of them if there is no id.
pub(crate) async fn retry(values: &Values, id: Option<&str>) -> Result<Answer, Failure> {
    let queues = Queues::open(values).await?;
    let mut retried = Vec::new();
    loop {
        let letters = queues.dead_letters().await?;
        // Of all of them more than are taken at a time: what is retried is gone, and the next are found.
        let is_last = id.is_some() || letters.len() < MOST;
        let (chosen, others): (Vec<_>, Vec<_>) =
            letters.into_iter().partition(|letter| id.is_none_or(|id| letter.id == id));
        queues.release(&others).await;
        if let Some(id) = id {
            find(&chosen, id)?;
        }
        for letter in chosen {
            queues.send_again(&letter).await?;
            retried.push(letter.id);
        }
        if is_last {
            break;
        }
    }
    let text = match retried.len() {
        0 => "There are no dead letters.".into(),
        1 => "1 dead letter waits in the spool again.".into(),
        several => format!("{several} dead letters wait in the spool again."),
    };
    Ok(Answer::new(json!({ "retried": retried }), &text))
}

pub(crate) async fn discard(values: &Values, id: &str) -> Result<Answer, Failure> {
    let queues = Queues::open(values).await?;
    let letters = queues.dead_letters().await?;
    let (chosen, others): (Vec<_>, Vec<_>) = letters.into_iter().partition(|letter| letter.id == id);
    queues.release(&others).await;
    let letter = find(&chosen, id)?;
    queues.delete(std::slice::from_ref(letter)).await?;
    Ok(Answer::new(json!({ "discarded": letter.id }), &format!("Dead letter {id} is deleted.")))
}

/// Deletes all dead letters, once somebody has agreed.
pub(crate) async fn discard_all(values: &Values, is_agreed: bool) -> Result<Answer, Failure> {
    let queues = Queues::open(values).await?;
    let dead = queues.count_dead().await?;
    if dead == 0 {
        return Ok(Answer::new(json!({ "discarded": 0 }), "There are no dead letters."));
    }
    if !is_agreed && !agreed(dead)? {
        return Ok(Answer::new(json!({ "discarded": 0 }), "Nothing was deleted."));
    }
    let mut discarded = 0;
    loop {
        let letters = queues.dead_letters().await?;
        queues.delete(&letters).await.map_err(|failure| match discarded {
            0 => failure,
            before => Failure::Message(format!("{failure} {} deleted before.", counted(before))),
        })?;
        discarded += letters.len();
        if letters.len() < MOST {
            break;
        }
    }
    Ok(Answer::new(json!({ "discarded": discarded }), &format!("{} deleted.", counted(discarded))))
}

fn counted(letters: usize) -> String {
    if letters == 1 { "1 dead letter was".into() } else { format!("{letters} dead letters were") }
}

/// Asks on the terminal.
fn agreed(dead: u64) -> Result<bool, Failure> {
    let letters = if dead == 1 { "1 dead letter is".into() } else { format!("{dead} dead letters are") };
    let what = format!("{letters} to be deleted; what was received is then nowhere.");
    if !terminal::is_there() {
        return Err(Failure::Message(format!("{what} To delete without a question, add --yes.")));
    }
    terminal::agrees(&format!("{what} Delete? [y/N] "))
}

fn find<'a>(letters: &'a [DeadLetter], id: &str) -> Result<&'a DeadLetter, Failure> {
    letters.iter().find(|letter| letter.id == id).ok_or_else(|| {
        let id = visible::text(id);
        Failure::Message(format!(
            "There is no dead letter {id}: take an id from adtrail spool. After another command it may be hidden for a \
             minute."
        ))
    })
}

fn reason(letter: &DeadLetter) -> &str {
    letter.reason.as_deref().unwrap_or(NO_REASON)
}

fn row(letter: &DeadLetter) -> [String; 6] {
    let age = letter.received_at.map(|at| age((Clock::system().now() - at).num_minutes()));
    [
        letter.id.clone(),
        letter.kind.clone().unwrap_or_default(),
        letter.source.clone().unwrap_or_default(),
        letter.received_at.map(time).unwrap_or_default(),
        age.unwrap_or_default(),
        reason(letter).to_owned(),
    ]
}

fn age(minutes: i64) -> String {
    match minutes {
        ..60 => format!("{minutes} min"),
        60..2880 => format!("{} h", minutes / 60),
        _ => format!("{} days", minutes / 1440),
    }
}

fn document(letter: &DeadLetter) -> Value {
    json!({
        "id": letter.id,
        "kind": letter.kind,
        "source": letter.source,
        "received_at": letter.received_at,
        "reason": reason(letter),
    })
}
