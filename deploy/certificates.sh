#!/bin/sh
# Makes the certificates of one cluster's bus, and of the programs of that cluster:
#
#     deploy/certificates.sh FOLDER CLUSTER NAME...
#
# NAME is what the other clusters dial: a DNS name or an IP address. The first call makes the
# authority too (FOLDER/ca.crt, FOLDER/ca.key); the key stays with you and goes into no cluster.
# Call it again to renew: both pairs are made anew, the authority stays.
#
#     FOLDER/CLUSTER/identity/  who the programs are (subject CN=CLUSTER): Secret bus-identity
#     FOLDER/CLUSTER/server/    what nats-server shows:                    Secret bus-server
set -eu
umask 077

[ $# -ge 3 ] || { echo "usage: $0 FOLDER CLUSTER NAME..." >&2; exit 2; }
folder=$1 cluster=$2
shift 2

names="DNS:nats.heliograph.svc,DNS:nats.heliograph.svc.cluster.local"
for name; do
    case $name in
        *:* | [0-9]*.[0-9]*.[0-9]*.[0-9]*) names="$names,IP:$name" ;;
        *) names="$names,DNS:$name" ;;
    esac
done

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1" 2>/dev/null; }

mkdir -p "$folder/$cluster/identity" "$folder/$cluster/server"
if [ ! -e "$folder/ca.key" ]; then
    key "$folder/ca.key"
    openssl req -x509 -new -key "$folder/ca.key" -out "$folder/ca.crt" -days 3650 \
        -subj "/CN=heliograph bus authority"
fi

# sign FOLDER SUBJECT EXTENSIONS
sign() {
    key "$1/tls.key"
    openssl req -new -key "$1/tls.key" -subj "$2" -out "$1/request"
    printf '%s\n' "$3" "basicConstraints=critical,CA:FALSE" "subjectKeyIdentifier=hash" \
        "authorityKeyIdentifier=keyid" "keyUsage=critical,digitalSignature" >"$1/extensions"
    openssl x509 -req -in "$1/request" -CA "$folder/ca.crt" -CAkey "$folder/ca.key" \
        -CAcreateserial -days 365 -extfile "$1/extensions" -out "$1/tls.crt" 2>/dev/null
    rm "$1/request" "$1/extensions"
    cp "$folder/ca.crt" "$1/ca.crt"
}

sign "$folder/$cluster/identity" "/CN=$cluster" "extendedKeyUsage=clientAuth"
sign "$folder/$cluster/server" "/CN=bus of $cluster" "extendedKeyUsage=serverAuth
subjectAltName=$names"
echo "made for $cluster until $(openssl x509 -noout -enddate -in "$folder/$cluster/server/tls.crt" | cut -d= -f2)"
