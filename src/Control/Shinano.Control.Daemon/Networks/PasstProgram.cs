using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Shinano.Control.Api;
using Shinano.Control.Api.Domains;
using Shinano.Control.Configuration.Networks;
using Shinano.Control.GuestPackages;
using Shinano.Linux;

namespace Shinano.Control.Daemon.Networks;

/// <summary>
/// User-mode NAT: a passt for each vnic, which gives its guest an address by DHCP and turns its connections into sockets of the host. It ends with the
/// switch's connection to it (--one-off), however that ends.
/// </summary>
internal sealed class PasstProgram(ShinanoPaths paths, ILogger<PasstProgram> logger)
{
    /// <summary>Names the program; else the host's is used, else Debian's package is fetched into the cache.</summary>
    public const string Variable = "SHINANO_PASST";

    /// <summary>socket(7): SOL_SOCKET and SO_REUSEADDR of x86-64.</summary>
    private const int SocketLevel = 1;

    private const int ReuseAddress = 2;
    private const string ResolverConfiguration = "/etc/resolv.conf";

    private static readonly TimeSpan StartPatience = TimeSpan.FromSeconds(20);

    /// <summary>Starts one and waits until it listens.</summary>
    /// <exception cref="DomainFailureException">passt is not to be had, a port is in use, or it does not start.</exception>
    public async Task StartAsync(VnicRecord record, CancellationToken cancellationToken)
    {
        string program = await FindAsync(cancellationToken);
        DemandFreePorts(record);
        string socket = record.Spec.Nat!.SocketPath;
        string log = Path.Combine(paths.LogDirectory, $"passt-{record.Spec.Name}.log");
        File.Delete(ShinanoPaths.PrepareSocketPath(socket));
        File.Delete(log);
        using Process process = DetachedProcess.Start(program, Arguments(record, socket, ReadResolverConfiguration()), log);
        long deadline = Environment.TickCount64 + (long)StartPatience.TotalMilliseconds;
        while (!File.Exists(socket))
        {
            if (process.HasExited || Environment.TickCount64 > deadline)
            {
                if (!process.HasExited)
                {
                    process.Kill();
                }

                throw new DomainFailureException(
                    DomainFailureCode.HostResource, $"user-mode network of {record.Spec.Name}: passt does not start: {LastLine(log)} (see {log})");
            }

            await Task.Delay(10, cancellationToken);
        }

        logger.LogInformation("vnic {Name}: passt is process {Process}", record.Spec.Name, process.Id);
    }

    /// <summary>Its command line. Pure.</summary>
    /// <param name="resolverConfiguration">Text of the host's /etc/resolv.conf.</param>
    internal static IReadOnlyList<string> Arguments(VnicRecord record, string socket, string resolverConfiguration)
    {
        List<string> arguments =
        [
            "--foreground", "--stderr", "--quiet", "--one-off", "--socket", socket, "--ipv4-only", "--mtu", "1500",
            "--address", record.Address!, "--netmask", UserNetwork.Mask, "--gateway", UserNetwork.Gateway, "--mac-addr", UserNetwork.Mac,
            .. NameServers.Arguments(resolverConfiguration, record.ReachesLoopback),
        ];
        if (!record.ReachesLoopback)
        {
            arguments.Add("--no-map-gw");
        }

        if (Environment.UserName == "root")
        {
            // Its socket is in a directory of root's. It gives up capabilities, files and namespaces all the same.
            arguments.AddRange(["--runas", "0:0"]);
        }

        foreach (PortForward forward in record.Forwards)
        {
            string address = forward.Address switch
            {
                null => "127.0.0.1/",
                "0.0.0.0" => "",
                { } one => one + "/",
            };
            arguments.Add(forward.IsUdp ? "--udp-ports" : "--tcp-ports");
            arguments.Add(string.Create(CultureInfo.InvariantCulture, $"{address}{forward.HostPort}:{forward.GuestPort}"));
        }

        return arguments;
    }

    /// <summary>passt goes on without a port that it cannot have; a user wants to know.</summary>
    private static void DemandFreePorts(VnicRecord record)
    {
        foreach (PortForward forward in record.Forwards)
        {
            using Socket probe = new(AddressFamily.InterNetwork, forward.IsUdp ? SocketType.Dgram : SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                if (!forward.IsUdp)
                {
                    // As passt does: a port that connections have left a moment ago is free. Not .NET's ReuseAddress, which sets SO_REUSEPORT as well and finds a port free that a
                    // listener shares; and not with UDP, where it is for sharing.
                    probe.SetRawSocketOption(SocketLevel, ReuseAddress, BitConverter.GetBytes(1));
                }

                probe.Bind(new IPEndPoint(forward.Address is { } address ? IPAddress.Parse(address) : IPAddress.Loopback, forward.HostPort));
            }
            catch (SocketException e)
            {
                throw new DomainFailureException(
                    DomainFailureCode.HostResource,
                    $"forward={forward}: port {forward.HostPort} of the host: {e.Message}",
                    e);
            }
        }
    }

    private async Task<string> FindAsync(CancellationToken cancellationToken)
    {
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } named)
        {
            return named;
        }

        foreach (string directory in (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries).Append("/usr/bin"))
        {
            if (File.Exists(Path.Combine(directory, "passt")))
            {
                return Path.Combine(directory, "passt");
            }
        }

        try
        {
            GuestPackage package = await new GuestPackageCache(paths.CacheDirectory).GetAsync("passt", cancellation: cancellationToken);
            return Path.Combine(package.Directory, "usr/bin/passt");
        }
        catch (GuestPackageUnavailableException e)
        {
            throw new DomainFailureException(DomainFailureCode.HostResource, $"user-mode networks need passt: {e.Message}", e);
        }
    }

    private static string ReadResolverConfiguration()
    {
        try
        {
            return File.ReadAllText(ResolverConfiguration);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A host without name servers.
            return "";
        }
    }

    private static string LastLine(string log) =>
        File.Exists(log) ? File.ReadLines(log).LastOrDefault(line => !line.StartsWith("Failed to send", StringComparison.Ordinal)) ?? "it said nothing" : "it said nothing";
}
