using System.CommandLine;
using System.Globalization;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.GuestPackages;

namespace Shinano.Cli.Xm.Verbs;

/// <summary>The main job in one command: Debian's kernel, a busybox ramdisk, a domain, its console.</summary>
internal static class QuickstartVerb
{
    /// <summary>Ctrl-D: a pipe at its end ends the shell, and with it the domain.</summary>
    private static readonly byte[] EndOfTransmission = [4];

    public static void AddTo(Command root, XmEnvironment environment)
    {
        Option<string> memory = new("--memory", "-m") { Description = "MiB", DefaultValueFactory = _ => "256" };
        Option<int> vcpus = new("--vcpus") { DefaultValueFactory = _ => 1 };
        Option<string> kernel = new("--kernel") { Description = "cloud or general: which of Debian's kernels", DefaultValueFactory = _ => "cloud" };
        kernel.AcceptOnlyFromAmong("cloud", "general");
        Option<string?> name = new("--name") { Description = "The domain's name; by default quickstart, or quickstart-N" };
        Option<string> extra = new("--extra") { Description = "More for the kernel's command line", DefaultValueFactory = _ => "" };
        Option<bool> network = Verb.Flag("--network", "Reach the world through the host's sockets (user-mode NAT)");
        Option<bool> verbose = Verb.Flag("--verbose", "Show the stages", "-v");
        Option<string?> engine = new("--cpu-engine") { Description = "interpreter, translator or kvm" };
        Verb.Add(
            root,
            environment,
            "quickstart",
            "Boots Debian's kernel to a shell in a new domain; exit codes as create -c.",
            [memory, vcpus, kernel, name, extra, engine, network, verbose],
            async (result, xend, token) =>
            {
                QuickstartGuest guest = await PrepareAsync(
                    environment, result.GetValue(kernel) == "general" ? QuickstartGuest.GeneralKernel : QuickstartGuest.CloudKernel, result.GetValue(network), token);
                string text = string.Create(CultureInfo.InvariantCulture, $"""
                    memory = {ResourceVerbs.ParseMemory(result.GetRequiredValue(memory)) >> 20}
                    vcpus = {result.GetValue(vcpus)}
                    kernel = {Quote(guest.KernelPath)}
                    ramdisk = {Quote(guest.RamdiskPath)}
                    extra = {Quote($"{QuickstartGuest.CommandLine} {result.GetValue(extra)}".TrimEnd())}
                    on_reboot = "destroy"
                    {(result.GetValue(network) ? "vif = [ 'type=user' ]" : "")}
                    {(result.GetValue(engine) is { } chosen ? $"cpu_engine = {Quote(chosen)}" : "")}
                    """);
                CreatedDomain domain = await CreateAsync(environment, xend, text, result.GetValue(name), result.GetValue(verbose), token);
                return await DomainRun.FollowAsync(environment, xend, domain, leavePaused: false, EndOfTransmission, token);
            });
    }

    private static async Task<QuickstartGuest> PrepareAsync(XmEnvironment environment, string package, bool usesNetwork, CancellationToken cancellationToken)
    {
        using CreationProgress line = new(environment, verbose: false);
        PackageDisplay display = new(environment, line);
        return await QuickstartGuest.PrepareAsync(
            new GuestPackageCache(environment.Paths.CacheDirectory), package, usesNetwork: usesNetwork, progress: display, cancellation: cancellationToken);
    }

    private static async Task<CreatedDomain> CreateAsync(
        XmEnvironment environment, XendClient xend, string text, string? name, bool verbose, CancellationToken cancellationToken)
    {
        using CreationProgress progress = new(environment, verbose);
        for (int number = 1; ; number++)
        {
            string candidate = name ?? (number == 1 ? "quickstart" : string.Create(CultureInfo.InvariantCulture, $"quickstart-{number}"));
            ConfigurationRequest request = new()
            {
                FileName = "<quickstart>",
                Text = text,
                Overrides = [$"name={candidate}"],
                WorkingDirectory = Environment.CurrentDirectory,
                Strict = true,
                Paused = true,
            };
            try
            {
                return await xend.CreateAsync(request, progress.Observe, cancellationToken)
                    ?? throw new XendFailureException(new DomainFailure(DomainFailureCode.Internal, "xend made no domain and gave no reason"));
            }
            catch (XendFailureException e) when (name is null && e.Failure.Code == DomainFailureCode.Duplicate && number < 1000)
            {
                // Another quickstart has the name.
            }
        }
    }

    private static string Quote(string text) =>
        $"\"{text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)}\"";
}
