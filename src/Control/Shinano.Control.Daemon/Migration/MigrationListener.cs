using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Linux;

namespace Shinano.Control.Daemon.Migration;

/// <summary>
/// Takes migrations: always at a socket of our user's (for <c>xm migrate-receive</c>), and at a TCP port over TLS when a setting says so. Whoever has no trusted key is told
/// so, and nothing that it sends behind the handshake is looked at.
/// </summary>
internal sealed class MigrationListener(ShinanoPaths paths, PeerKeys keys, Arrivals arrivals, ILogger<MigrationListener> logger) : IDisposable
{
    private const int MostAtOnce = 16;

    private static readonly TimeSpan HandshakePatience = TimeSpan.FromSeconds(10);

    private readonly SemaphoreSlim _places = new(MostAtOnce, MostAtOnce);
    private readonly Lock _lock = new();
    private Socket? _local;
    private Socket? _network;
    private string? _endpoint;

    private string SettingFile => Path.Combine(paths.StateDirectory, "migration", "listen");

    /// <summary>What clients see of the settings.</summary>
    public MigrationSettings Settings
    {
        get
        {
            lock (_lock)
            {
                return new MigrationSettings { Fingerprint = PeerKeys.FingerprintOf(keys.Own), Listen = _endpoint, Trusted = keys.Trusted };
            }
        }
    }

    /// <summary>Listens where the settings say.</summary>
    public void Start()
    {
        string path = paths.MigrationSocket;
        File.Delete(ShinanoPaths.PrepareSocketPath(path));
        _local = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        _local.Bind(new UnixDomainSocketEndPoint(path));
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        _local.Listen(MostAtOnce);
        _ = AcceptAsync(_local, ServeLocalAsync);
        if (File.Exists(SettingFile))
        {
            try
            {
                Listen(File.ReadAllText(SettingFile).Trim());
            }
            catch (DomainFailureException e)
            {
                logger.LogError("no migrations are taken over TLS: {Message}", e.Message);
            }
        }
    }

    /// <summary>Changes where migrations are taken over TLS, now and from the next start on.</summary>
    /// <param name="endpoint">ADDRESS:PORT, null for nowhere.</param>
    /// <exception cref="DomainFailureException">The address cannot be listened at.</exception>
    public void Change(string? endpoint)
    {
        string? bound = Listen(endpoint);
        ShinanoPaths.EnsureDirectory(Path.GetDirectoryName(SettingFile)!);
        if (bound is null)
        {
            File.Delete(SettingFile);
        }
        else
        {
            File.WriteAllText(SettingFile, bound + "\n");
        }
    }

    public void Dispose()
    {
        _local?.Dispose();
        _network?.Dispose();
        File.Delete(paths.MigrationSocket);
    }

    /// <returns>Where, with the port that was given for port 0.</returns>
    private string? Listen(string? endpoint)
    {
        IPEndPoint? address = null;
        if (endpoint is not null && !IPEndPoint.TryParse(endpoint, out address))
        {
            throw new DomainFailureException(DomainFailureCode.InvalidArgument, $"'{endpoint}' is not ADDRESS:PORT");
        }

        lock (_lock)
        {
            _network?.Dispose();
            _network = null;
            _endpoint = null;
            if (address is null)
            {
                return null;
            }

            Socket socket = new(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
                socket.Bind(address);
                socket.Listen(MostAtOnce);
            }
            catch (SocketException e)
            {
                socket.Dispose();
                throw new DomainFailureException(DomainFailureCode.HostResource, $"{endpoint}: {e.Message}", e);
            }

            _network = socket;
            _endpoint = socket.LocalEndPoint!.ToString();
            _ = AcceptAsync(socket, ServeNetworkAsync);
            logger.LogInformation("migrations are taken at {Endpoint}", _endpoint);
            return _endpoint;
        }
    }

    private async Task AcceptAsync(Socket listener, Func<Socket, Task> serve)
    {
        while (true)
        {
            Socket socket;
            try
            {
                socket = await listener.AcceptAsync();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return;
            }

            if (_places.Wait(0))
            {
                _ = Task.Run(() => ServeAsync(socket, serve));
            }
            else
            {
                socket.Dispose();
            }
        }
    }

    private async Task ServeAsync(Socket socket, Func<Socket, Task> serve)
    {
        try
        {
            await serve(socket);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // The boundary: one connection's trouble is that connection's.
            logger.LogWarning("a migration's connection: {Message}", e.Message);
        }
        finally
        {
            socket.Dispose();
            _places.Release();
        }
    }

    private Task ServeLocalAsync(Socket socket) => arrivals.ServeAsync(new MigrationPeer(new NetworkStream(socket, ownsSocket: true), "the sender"));

    private async Task ServeNetworkAsync(Socket socket)
    {
        socket.NoDelay = true;
        string from = socket.RemoteEndPoint!.ToString()!;
        string? fingerprint = null;
        await using SslStream tls = new(new NetworkStream(socket, ownsSocket: true));
        using (CancellationTokenSource limit = new(HandshakePatience))
        {
            await tls.AuthenticateAsServerAsync(
                new SslServerAuthenticationOptions
                {
                    ServerCertificate = keys.Own,
                    ClientCertificateRequired = true,
                    EnabledSslProtocols = SslProtocols.Tls13,
                    CertificateRevocationCheckMode = X509RevocationMode.NoCheck,

                    // Any key gets through the handshake, which proves that it is theirs, so that those who are not trusted can be told.
                    RemoteCertificateValidationCallback = (_, certificate, _, _) =>
                    {
                        fingerprint = certificate is X509Certificate2 theirs ? PeerKeys.FingerprintOf(theirs) : null;
                        return fingerprint is not null;
                    },
                },
                limit.Token);
        }

        MigrationPeer peer = new(tls, from);
        if (fingerprint is null || !keys.IsTrusted(fingerprint))
        {
            using (peer)
            {
                logger.LogWarning("{From} has the key {Fingerprint}, which is not trusted", from, fingerprint);
                await peer.RefuseAsync(new DomainFailure(
                    DomainFailureCode.MigrationUntrusted, $"the key {fingerprint} is not trusted there (xm migrate-trust)"));
            }

            return;
        }

        await arrivals.ServeAsync(peer);
    }
}
