using System.CommandLine;
using System.Globalization;
using System.Net.Sockets;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm.Verbs;

/// <summary>Domains that go to another host: migrate, migrate-resolve, and migrate-receive, which is the other end of a command.</summary>
internal static class MigrationVerbs
{
    private const string RemoteCommand = "xm migrate-receive";

    public static void AddTo(Command root, XmEnvironment environment)
    {
        AddMigrate(root, environment);
        AddResolve(root, environment);
        AddReceive(root, environment);
    }

    private static void AddMigrate(Command root, XmEnvironment environment)
    {
        Argument<string> domain = Verb.Domain(environment);
        Argument<string> host = new("host") { HelpName = "host[:port]", Description = "Where to; the port is 8003 when none is said" };
        Option<bool> live = Verb.Flag("--live", "Send most of the memory while the domain runs", "-l");
        Option<int?> port = new("--port", "-p") { Description = "The port, as xm has had it" };
        Option<bool> ssh = Verb.Flag("--ssh", $"Go through 'ssh host {RemoteCommand}' instead of TLS");
        Option<string?> command = new("--command", "-s")
        {
            Description = $"Go through this command, put before 'host {RemoteCommand}'; an empty one takes host as the whole command",
        };
        Option<bool> quiet = Verb.Flag("--quiet", "Print nothing but errors", "-q");
        Option<bool> json = Verb.Json();
        Verb.Add(
            root, environment, "migrate", "Moves a domain to another host.", [domain, host, live, port, ssh, command, quiet, json], async (result, xend, token) =>
            {
                MigrationTarget target = TargetOf(result.GetRequiredValue(host), result.GetValue(port), result.GetValue(ssh) ? "ssh" : result.GetValue(command));
                bool silent = result.GetValue(quiet) || result.GetValue(json);
                MigrationResult moved = await xend.MigrateAsync(
                    result.GetRequiredValue(domain), new MigrateRequest(target, result.GetValue(live)), progress => Show(environment, progress, silent), token);
                if (result.GetValue(json))
                {
                    await environment.Output.WriteLineAsync(JsonText.Of(moved));
                }
                else if (!silent)
                {
                    string name = result.GetRequiredValue(domain);
                    double total = moved.TotalNanoseconds / 1e9;
                    double down = moved.DowntimeNanoseconds / 1e6;
                    environment.WriteLine($"{name} runs at {target} as domain {moved.TargetId}: {total:0.00} s in all, down for {down:0} ms");
                    environment.WriteLine(
                        $"{moved.Rounds} rounds, {moved.Pages} pages, {moved.LastPages} of them while it stood still, {moved.Bytes / 1048576.0:0.0} MiB");
                }
            });
    }

    private static void AddResolve(Command root, XmEnvironment environment)
    {
        Argument<string> domain = Verb.Domain(environment);
        Option<bool> resume = Verb.Flag("--resume", "It does not run at the target and never will: it goes on here");
        Option<bool> destroy = Verb.Flag("--destroy", "It runs at the target: its copy here goes");
        Verb.Add(
            root,
            environment,
            "migrate-resolve",
            "Asks what became of a domain that was handed over without an answer, or says it.",
            [domain, resume, destroy],
            async (result, xend, token) =>
            {
                if (result.GetValue(resume) && result.GetValue(destroy))
                {
                    environment.Complain("it is either --resume or --destroy");
                    return ExitCodes.Usage;
                }

                MigrationDecision decision = result.GetValue(resume) ? MigrationDecision.Resume
                    : result.GetValue(destroy) ? MigrationDecision.Destroy
                    : MigrationDecision.Ask;
                await xend.ResolveMigrationAsync(result.GetRequiredValue(domain), decision, token);
                return ExitCodes.Success;
            });
    }

    private static void AddReceive(Command root, XmEnvironment environment) => Verb.Add(
        root, environment, "migrate-receive", "Takes a domain from standard input: the other end of xm migrate --ssh.", [], async (_, _, token) =>
        {
            using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(environment.Paths.MigrationSocket), token);
            await using NetworkStream xend = new(socket);
            await using Stream input = environment.OpenInput();
            await using Stream output = environment.OpenOutput();
            Task answers = xend.CopyToAsync(output, token);
            Task stream = input.CopyToAsync(xend, 1 << 20, token);

            // Whichever side ends, the other hears of it.
            await await Task.WhenAny(answers, stream);
        });

    private static MigrationTarget TargetOf(string host, int? port, string? command)
    {
        if (command is not null)
        {
            return new MigrationTarget { Command = command.Length == 0 ? host : $"{command} {host} {RemoteCommand}" };
        }

        // An IPv6 address has colons of its own, and brackets when it has a port.
        int colon = host.LastIndexOf(':');
        bool hasPort = colon > 0 && (host.IndexOf(':', StringComparison.Ordinal) == colon || host[colon - 1] == ']');
        if (hasPort && !int.TryParse(host.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out _))
        {
            throw new XendFailureException(new DomainFailure(DomainFailureCode.InvalidArgument, $"'{host}': the port is no number"));
        }

        return new MigrationTarget
        {
            Host = (hasPort ? host[..colon] : host).Trim('[', ']'),
            Port = port ?? (hasPort ? int.Parse(host.AsSpan(colon + 1), CultureInfo.InvariantCulture) : MigrationTarget.DefaultPort),
        };
    }

    private static void Show(XmEnvironment environment, BuildProgress progress, bool silent)
    {
        if (!silent)
        {
            environment.Error.WriteLine($"{progress.Stage} {progress.Detail}");
        }
    }
}
