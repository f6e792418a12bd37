# What an image lacks of what an agent needs: a line of `lacks WORD` each, then `looked`. Run as the user of the
# containers, without network. The agents' names are the arguments.
for tool in bash curl git git-lfs; do
  command -v "$tool" > /dev/null || echo "lacks $tool"
done
certificates=
for file in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem /etc/ssl/ca-bundle.pem; do
  [ -s "$file" ] && certificates=yes
done
[ -n "$certificates" ] || echo "lacks ca-certificates"
for agent; do
  command -v "$agent" > /dev/null || echo "lacks agent:$agent"
done
# An engine gives a user that the image does not know the home `/`.
{ [ "$HOME" != / ] && [ -w "$HOME" ]; } || echo "lacks user"
loader=
for file in /lib64/ld-linux-* /lib/ld-linux-*; do
  [ -e "$file" ] && loader=yes
done
[ -n "$loader" ] || echo "lacks glibc"
echo looked
