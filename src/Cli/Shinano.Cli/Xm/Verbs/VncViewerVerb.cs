using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm.Verbs;

/// <summary>Shows a domain's screen: vncviewer.</summary>
internal static class VncViewerVerb
{
    private const int FirstPort = 5900;

    /// <summary>Viewers that take HOST:DISPLAY as their argument, in the order of preference.</summary>
    private static readonly string[] Viewers = ["vncviewer", "gvncviewer", "xtigervncviewer", "xvnc4viewer"];

    public static void AddTo(Command root, XmEnvironment environment)
    {
        Argument<string> domain = Verb.Domain(environment);
        Option<bool> show = Verb.Flag("--show", "Print HOST:DISPLAY instead of starting a viewer");
        Verb.Add(root, environment, "vncviewer", "Starts a VNC viewer on a domain's screen.", [domain, show], async (result, xend, token) =>
        {
            DomainDetails details = await xend.DescribeAsync(result.GetRequiredValue(domain), token);
            if (details.Summary is not { VncPort: { } port, VncListen: { } listen })
            {
                throw new XendFailureException(new DomainFailure(
                    DomainFailureCode.InvalidArgument, $"domain '{details.Summary.Name}' has no VNC display: vfb = [\"type=vnc\"] gives it one"));
            }

            string place = PlaceOf(listen, port);
            if (result.GetValue(show))
            {
                environment.WriteLine($"{place}");
                return ExitCodes.Success;
            }

            string viewer = Find() ?? throw new XendFailureException(new DomainFailure(
                DomainFailureCode.HostResource, $"no VNC viewer was found ({string.Join(", ", Viewers)}); the screen is at {place}"));
            using Process process = Process.Start(new ProcessStartInfo(viewer, [place]))
                ?? throw new XendFailureException(new DomainFailure(DomainFailureCode.HostResource, $"{viewer} was not started"));
            await process.WaitForExitAsync(token);
            return process.ExitCode;
        });
    }

    /// <summary>Viewers take displays below 5900 as ports with two colons; one that listens everywhere is looked for here.</summary>
    private static string PlaceOf(string listen, int port)
    {
        string host = IPAddress.TryParse(listen, out IPAddress? address) && (address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any)) ? "127.0.0.1" : listen;
        host = host.Contains(':', StringComparison.Ordinal) ? $"[{host}]" : host;
        return string.Create(CultureInfo.InvariantCulture, $"{host}:{port - FirstPort}");
    }

    private static string? Find() => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':')
        .Where(directory => directory.Length > 0)
        .SelectMany(directory => Viewers.Select(viewer => Path.Combine(directory, viewer)))
        .OrderBy(path => Array.IndexOf(Viewers, Path.GetFileName(path)))
        .FirstOrDefault(File.Exists);
}
