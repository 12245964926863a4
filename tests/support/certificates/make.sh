#!/bin/sh
# Makes the certificates beside it anew, with openssl 3. They hold for a hundred years, but for
# expired.pem, which ended a day before it began; nothing but tests trusts their authorities.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

# authority NAME: a certificate that signs others, NAME.pem.
authority() {
  key "$work/$1-key.pem"
  openssl req -x509 -new -key "$work/$1-key.pem" -subj "/CN=$1 of Kith's tests" -days 36500 \
    -addext 'basicConstraints=critical,CA:TRUE' \
    -addext 'keyUsage=critical,keyCertSign,cRLSign' -out "$1.pem"
}

# signed NAME AUTHORITY USES HOSTS [DAYS]: NAME.pem and NAME-key.pem.
signed() {
  key "$1-key.pem"
  openssl req -new -key "$1-key.pem" -subj "/CN=$1" -out "$work/$1.csr"
  printf 'basicConstraints=CA:FALSE\nextendedKeyUsage=%s\n' "$3" > "$work/$1.ext"
  [ -z "$4" ] || printf 'subjectAltName=%s\n' "$4" >> "$work/$1.ext"
  openssl x509 -req -in "$work/$1.csr" -CA "$2.pem" -CAkey "$work/$2-key.pem" \
    -set_serial "0x$(openssl rand -hex 8)" -days "${5:-36500}" -extfile "$work/$1.ext" \
    -out "$1.pem" 2>/dev/null
}

here='IP:127.0.0.1,IP:0:0:0:0:0:0:0:1,DNS:localhost,DNS:members.kith.test'
authority ca
authority other-ca
signed member ca serverAuth,clientAuth "$here"
signed renewed ca serverAuth,clientAuth "$here"
signed named ca serverAuth,clientAuth DNS:members.kith.test
signed client ca clientAuth ''
signed stranger other-ca serverAuth,clientAuth "$here"
signed expired ca serverAuth,clientAuth "$here" -1
