"""A mail server of this machine, for guides: takes each mail on 127.0.0.1:25, and prints to whom it goes and what it says."""

import email
import email.policy
import socketserver


class Conversation(socketserver.StreamRequestHandler):
    def say(self, line):
        self.wfile.write(f"{line}\r\n".encode())

    def handle(self):
        self.say("220 mail")
        while line := self.rfile.readline().decode().rstrip("\r\n"):
            word = line.split(" ")[0].upper()
            if word == "DATA":
                self.say("354 go on")
                mail = b"".join(iter(self.rfile.readline, b".\r\n"))
                mail = email.message_from_bytes(mail, policy=email.policy.default)
                print(f"Mail for {mail['To']}: {mail['Subject']}\n{mail.get_content()}", flush=True)
            if word == "QUIT":
                return self.say("221 bye")
            self.say("250 ok")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


with Server(("127.0.0.1", 25), Conversation) as server:
    print("A mail server listens.", flush=True)
    server.serve_forever()
