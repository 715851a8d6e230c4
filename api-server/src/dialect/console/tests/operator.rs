//! The operator's port.

use std::net::SocketAddr;

use common::web::server::{Handler as _, Peer};

use super::*;
use crate::dialect::console::Operator;

type MemoryOperator = Operator<MemoryCatalog, MemoryBlobs>;

async fn ask(
    operator: &MemoryOperator,
    token: &str,
    method: Method,
    path: &str,
    body: Value,
) -> Said {
    let peer: SocketAddr = "127.0.0.1:5".parse().unwrap();
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/console/api/{path}"))
        .header("authorization", format!("Bearer {token}"))
        .body(RequestBody::from(Bytes::from(body.to_string())))
        .unwrap();
    request.extensions_mut().insert(Peer(peer));
    Said::of(operator.handle(request).await).await
}

#[tokio::test]
async fn the_operator_administers_with_the_token_of_this_start() {
    let fixture = Fixture::new();
    let king = fixture.user("king").await;
    let operator = Operator::new(Arc::clone(&fixture.console));
    let token = operator.token();
    let demote = json!({"administrator": false});
    let said = ask(
        &operator,
        &token,
        Method::POST,
        "admin/accounts/king",
        demote,
    )
    .await;
    said.done();
    assert_eq!(fixture.get(&king, "me").await.ok()["administrator"], false);
    let page = ask(
        &operator,
        &token,
        Method::GET,
        "admin/accounts",
        Value::Null,
    )
    .await;
    assert_eq!(page.ok()["total"], 1);
    // It is nobody's account.
    let said = ask(&operator, &token, Method::GET, "me", Value::Null).await;
    said.refused(404, "not_found");
}

#[tokio::test]
async fn each_port_has_its_own_tokens() {
    let fixture = Fixture::new();
    let king = fixture.user("king").await;
    let operator = Operator::new(Arc::clone(&fixture.console));
    let earlier = Operator::new(Arc::clone(&fixture.console));
    for token in ["", &king.token, &earlier.token(), &operator.token()[..31]] {
        let said = ask(&operator, token, Method::GET, "admin/accounts", Value::Null).await;
        said.refused(401, "session_ended");
    }
    let stranger = User {
        token: operator.token(),
        ..king
    };
    let said = fixture.get(&stranger, "admin/accounts").await;
    said.refused(401, "session_ended");
}
