using System.Diagnostics;
using Shinano.Control.Api;
using Shinano.Control.Api.Xend;
using Shinano.Control.Daemon;
using Shinano.Control.Daemon.Networks;
using Shinano.Linux;
using Shinano.Repository;

namespace Shinano.Control.Tests;

/// <summary>A SHINANO_HOME of its own with a xend in it (in this process, or in one that can be killed), and the double as the domain process.</summary>
internal sealed class TestHome : IAsyncDisposable
{
    private XendHost? _inProcess;
    private readonly List<XendClient> _formerClients = [];
    private Process? _process;

    static TestHome()
    {
        Environment.SetEnvironmentVariable(ProgramLocator.MachineVariable, RepositoryRoot.Program("Shinano.Control.FakeDomain"));
        Environment.SetEnvironmentVariable(ProgramLocator.SwitchVariable, RepositoryRoot.Program("Shinano.Network.Switch"));

        // No test here needs one, and none is to be fetched for them.
        string passt = Path.Combine(System.IO.Directory.CreateTempSubdirectory("sc-passt-").FullName, "passt");
        File.WriteAllText(passt, "#!/bin/sh\necho 'no passt today'\nexit 1\n");
        File.SetUnixFileMode(passt, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        AppDomain.CurrentDomain.ProcessExit += (_, _) => System.IO.Directory.Delete(Path.GetDirectoryName(passt)!, recursive: true);
        Environment.SetEnvironmentVariable(PasstProgram.Variable, passt);
    }

    private TestHome(string directory)
    {
        Directory = directory;
        Paths = ShinanoPaths.Under(directory);
        Client = new XendClient(Paths.XendSocket);
        Kernel = Path.Combine(directory, "kernel");
    }

    public string Directory { get; }

    public ShinanoPaths Paths { get; }

    public XendClient Client { get; private set; }

    /// <summary>A file that exists; the double does not look into it.</summary>
    public string Kernel { get; }

    public XendHost Host => _inProcess!;

    public int XendProcessId => _process!.Id;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public static async Task<TestHome> StartAsync()
    {
        TestHome home = Create();
        home._inProcess = await XendHost.StartAsync(home.Paths, Cancellation);
        Assert.NotNull(home._inProcess);
        return home;
    }

    /// <summary>With xend as a process of its own.</summary>
    /// <param name="fault">See <see cref="Fault"/>.</param>
    public static async Task<TestHome> StartProcessAsync(string? fault = null)
    {
        TestHome home = Create();
        home.Fault = fault;
        await home.StartXendAsync();
        return home;
    }

    public async Task StartXendAsync()
    {
        _process = StartXendProcess();
        Fault = null;
        while (true)
        {
            Assert.False(_process.HasExited, "xend ended");
            try
            {
                await Client.GetHostAsync(Cancellation);
                return;
            }
            catch (XendFailureException)
            {
                await Task.Delay(20, Cancellation);
            }
        }
    }

    /// <summary>The place at which the next xend process, and none after it, is to end as if it were killed; see FaultPoint.</summary>
    public string? Fault { get; set; }

    public Process StartXendProcess()
    {
        ProcessStartInfo start = new(ProgramLocator.DotnetHost, [RepositoryRoot.Program("Shinano.Control.Daemon")]) { RedirectStandardError = true };
        start.Environment["SHINANO_HOME"] = Directory;
        start.Environment[Daemon.Migration.FaultPoint.Variable] = Fault;
        start.Environment["SHINANO_WARM_DOMAINS"] = "0";
        return Process.Start(start)!;
    }

    /// <summary>kill -9.</summary>
    public Task KillXendAsync()
    {
        _process!.Kill();
        return WaitForXendAsync();
    }

    /// <summary>Waits for the end of xend's process.</summary>
    public async Task WaitForXendAsync()
    {
        await _process!.WaitForExitAsync(Cancellation);
        _process.Dispose();
        _process = null;

        // Connections of the pool lead to the dead one. Requests under way are to find that out by themselves: disposing the client would cancel them.
        _formerClients.Add(Client);
        Client = new XendClient(Paths.XendSocket);
    }

    public Task<CreatedDomain?> CreateAsync(string name, string settings = "", bool paused = false) =>
        Client.CreateAsync(Request(name, settings, paused), null, Cancellation);

    public ConfigurationRequest Request(string name, string settings = "", bool paused = false) => new()
    {
        FileName = "test.cfg",
        Text = $"name = \"{name}\"\nkernel = \"{Kernel}\"\nmemory = 64\n{settings}\n",
        WorkingDirectory = Directory,
        Paused = paused,
    };

    /// <summary>Process id of a domain.</summary>
    public async Task<int> ProcessOfAsync(string domain) => (await Client.DescribeAsync(domain, Cancellation)).ProcessId!.Value;

    /// <summary>Nothing of any domain is left: no run directory, no node, no entry.</summary>
    public async Task AssertNothingLeftAsync(XenStore.Server.LocalStore? store = null)
    {
        Assert.Empty(System.IO.Directory.EnumerateFileSystemEntries(Paths.DomainsRunDirectory));
        Assert.Equal(["Domain-0"], (await Client.ListAsync(Cancellation)).Select(domain => domain.Name));
        if (store is not null)
        {
            Assert.Equal(["0"], store.Nodes.TryList("/local/domain")!);
            Assert.Equal([Guid.Empty.ToString("D")], store.Nodes.TryList("/vm")!);
        }
    }

    /// <summary>The same for one who hears only by and by that a domain is not to be.</summary>
    public async Task WaitForNothingLeftAsync(XenStore.Server.LocalStore store)
    {
        while (System.IO.Directory.EnumerateFileSystemEntries(Paths.DomainsRunDirectory).Any() || store.Nodes.TryList("/local/domain") is not ["0"])
        {
            await Task.Delay(20, Cancellation);
        }

        await AssertNothingLeftAsync(store);
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            foreach (DomainSummary domain in (await Client.ListAsync(CancellationToken.None)).Where(domain => domain.Id is > 0))
            {
                await Client.DestroyAsync($"{domain.Id}", CancellationToken.None);
            }
        }
        catch (XendFailureException)
        {
            // The test ended it.
        }

        Client.Dispose();
        foreach (XendClient former in _formerClients)
        {
            former.Dispose();
        }

        if (_inProcess is not null)
        {
            await _inProcess.DisposeAsync();
        }

        if (_process is not null)
        {
            _process.Kill();
            await _process.WaitForExitAsync();
            _process.Dispose();
        }

        System.IO.Directory.Delete(Directory, recursive: true);
    }

    private static TestHome Create()
    {
        // Short: unix socket paths have 107 bytes.
        TestHome home = new(System.IO.Directory.CreateTempSubdirectory("sc-").FullName);
        File.WriteAllText(home.Kernel, "not looked at");
        return home;
    }
}
