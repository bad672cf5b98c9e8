#!/bin/sh
# Records kcat.pcap: what kcat and mini-kafka say to each other on port 9496. Needs tshark and kcat, and the right to capture.
# Afterwards: UPDATE=1 cargo test -p mini-kafka --test trace_wireshark
set -eu
cd "$(dirname "$0")/../../../.."
cargo build --bin mini-kafka
# tshark may write to /tmp only, where it has given up its rights.
tshark -i lo -f 'tcp port 9496' -F pcap -w /tmp/mini-kafka.pcap &
capture=$!
sleep 3
target/debug/mini-kafka --host 127.0.0.1 --port 9496 --topic orders:1 &
broker=$!
sleep 1
# An older librdkafka, such as Debian 12's, uses versions that tshark knows.
echo 'u1:hello' | kcat -b 127.0.0.1:9496 -P -t orders -K : -z gzip
kcat -q -b 127.0.0.1:9496 -G readers -X auto.offset.reset=earliest -c 1 orders
kill -INT "$broker"
sleep 1
kill -INT "$capture"
wait "$capture" || true
mv /tmp/mini-kafka.pcap broker/tests/trace/wireshark/kcat.pcap
