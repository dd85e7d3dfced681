using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;

namespace Shinano.Control.Daemon.Migration;

/// <summary>Reaches the other side of a migration.</summary>
internal sealed class MigrationDialler(PeerKeys keys)
{
    private static readonly TimeSpan ConnectPatience = TimeSpan.FromSeconds(20);

    /// <summary>Connects; over TLS only to a host whose key is trusted.</summary>
    /// <exception cref="DomainFailureException">Nobody is there, or the wrong one.</exception>
    public async Task<MigrationPeer> ConnectAsync(MigrationTarget target, CancellationToken cancellationToken)
    {
        Demand(target);
        return target.Command is { } command
            ? new MigrationPeer(new CommandStream(command), command)
            : new MigrationPeer(await ConnectAsync(target.Host!, target.Port, cancellationToken), target.ToString());
    }

    private static void Demand(MigrationTarget target)
    {
        if (string.IsNullOrWhiteSpace(target.Host) == string.IsNullOrWhiteSpace(target.Command) || target.Port is < 1 or > 65535)
        {
            throw new DomainFailureException(DomainFailureCode.InvalidArgument, "a migration goes to a host and port, or through a command");
        }
    }

    private async Task<Stream> ConnectAsync(string host, int port, CancellationToken cancellationToken)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(ConnectPatience);
        Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        string? fingerprint = null;
        try
        {
            await socket.ConnectAsync(host, port, limit.Token);
            SslStream tls = new(new NetworkStream(socket, ownsSocket: true));
            await tls.AuthenticateAsClientAsync(
                new SslClientAuthenticationOptions
                {
                    TargetHost = host,
                    EnabledSslProtocols = SslProtocols.Tls13,
                    ClientCertificates = [keys.Own],
                    LocalCertificateSelectionCallback = (_, _, _, _, _) => keys.Own,
                    CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
                    RemoteCertificateValidationCallback = (_, certificate, _, _) =>
                        certificate is X509Certificate2 theirs && keys.IsTrusted(fingerprint = PeerKeys.FingerprintOf(theirs)),
                },
                limit.Token);
            return tls;
        }
        catch (Exception e) when (e is SocketException or AuthenticationException or IOException or OperationCanceledException)
        {
            socket.Dispose();
            cancellationToken.ThrowIfCancellationRequested();
            throw e is AuthenticationException && fingerprint is not null
                ? new DomainFailureException(
                    DomainFailureCode.MigrationUntrusted, $"{host}:{port} has the key {fingerprint}, which is not trusted here (xm migrate-trust)", e)
                : new DomainFailureException(
                    DomainFailureCode.MigrationUnreachable, $"{host}:{port}: {(e is OperationCanceledException ? "no answer" : e.Message)}", e);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
