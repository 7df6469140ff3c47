#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# One SMTP session of qpsmtpd under tcpserver. Debian packages only the daemons that
# listen themselves; this is what the session program of its sources boils down to.
use strict;
use warnings;
use IO::Handle;
use Qpsmtpd::TcpServer;

# Qpsmtpd asks its client for that; standard input is a plain handle here.
sub IO::Handle::connected { return getpeername($_[0]) }

$| = 1;
$ENV{PATH} = '/bin:/usr/bin';
my $session = Qpsmtpd::TcpServer->new;
$session->load_plugins;
$session->start_connection;
$session->run(\*STDIN);
