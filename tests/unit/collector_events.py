"""Events as SDKs and CloudEvents clients send them."""

TRACK = {
    "userId": "u1",
    "event": "Order Completed",
    "properties": {"revenue": 5, "currency": "EUR"},
    "messageId": "m-1",
}
BAD = {"type": "track", "userId": "u1", "messageId": "bad"}
CLOUD = {"specversion": "1.0", "id": "1", "source": "s", "type": "order.completed", "subject": "user_id:u1"}
