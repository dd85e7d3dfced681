using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Domains.Devices;
using Shinano.Network.Control;

namespace Shinano.Control.Api.Xend;

/// <summary>
/// xend over its socket. Every method throws <see cref="XendFailureException"/> for what xend refuses and for an xend that is gone.
/// </summary>
public sealed class XendClient : IDisposable
{
    private readonly HttpClient _http;

    /// <param name="socketPath">xend's unix socket. Nothing is connected before the first call.</param>
    public XendClient(string socketPath)
    {
        SocketsHttpHandler handler = new()
        {
            ConnectCallback = async (_, cancellationToken) =>
            {
                Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                try
                {
                    await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketPath), cancellationToken);
                    return new NetworkStream(socket, ownsSocket: true);
                }
                catch
                {
                    socket.Dispose();
                    throw;
                }
            },
        };

        // Creation and outcomes take as long as they take; xend has its own deadlines.
        _http = new HttpClient(handler) { BaseAddress = new Uri("http://xend/v1/"), Timeout = Timeout.InfiniteTimeSpan };
    }

    public Task<HostInformation> GetHostAsync(CancellationToken cancellationToken) => GetAsync<HostInformation>("host", cancellationToken);

    /// <summary>Domain-0 first, then by id, then managed domains that do not run.</summary>
    public Task<IReadOnlyList<DomainSummary>> ListAsync(CancellationToken cancellationToken) =>
        GetAsync<IReadOnlyList<DomainSummary>>("domains", cancellationToken);

    public Task<DomainDetails> DescribeAsync(string domain, CancellationToken cancellationToken) =>
        GetAsync<DomainDetails>($"domains/{Escape(domain)}", cancellationToken);

    /// <summary>Creates a domain; <paramref name="observe"/> gets diagnostics and progress as they come. Null after a dry run.</summary>
    public Task<CreatedDomain?> CreateAsync(ConfigurationRequest request, Action<CreateEvent>? observe, CancellationToken cancellationToken) =>
        StreamAsync("domains", JsonContent.Create(request, options: ControlJson.Options), observe, cancellationToken);

    /// <summary>Stores a managed domain.</summary>
    public Task DefineAsync(ConfigurationRequest request, Action<CreateEvent>? observe, CancellationToken cancellationToken) =>
        StreamAsync("managed", JsonContent.Create(request, options: ControlJson.Options), observe, cancellationToken);

    public Task<CreatedDomain?> StartAsync(string name, bool paused, Action<CreateEvent>? observe, CancellationToken cancellationToken) =>
        StreamAsync($"managed/{Escape(name)}/start?paused={(paused ? "true" : "false")}", null, observe, cancellationToken);

    public async Task DeleteAsync(string name, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await SendAsync(HttpMethod.Delete, $"managed/{Escape(name)}", null, cancellationToken);
    }

    /// <summary>Waits until the domain has ended.</summary>
    public Task<DomainOutcome> WaitForEndAsync(int id, CancellationToken cancellationToken) =>
        GetAsync<DomainOutcome>($"outcomes/{id}", cancellationToken);

    public Task PauseAsync(string domain, CancellationToken cancellationToken) => PostAsync(domain, "pause", null, cancellationToken);

    public Task UnpauseAsync(string domain, CancellationToken cancellationToken) => PostAsync(domain, "unpause", null, cancellationToken);

    /// <summary>Returns when nothing of the domain is left.</summary>
    public Task DestroyAsync(string domain, CancellationToken cancellationToken) => PostAsync(domain, "destroy", null, cancellationToken);

    /// <summary>Asks the guest; returns at once.</summary>
    public Task ShutdownAsync(string domain, string reason, CancellationToken cancellationToken) =>
        PostAsync(domain, "shutdown", new ShutdownRequest(reason), cancellationToken);

    public Task RenameAsync(string domain, string name, CancellationToken cancellationToken) =>
        PostAsync(domain, "rename", new RenameRequest(name), cancellationToken);

    public Task SetMemoryAsync(string domain, long bytes, CancellationToken cancellationToken) =>
        PostAsync(domain, "memory", new MemoryRequest(bytes), cancellationToken);

    public Task SetMaximumMemoryAsync(string domain, long bytes, CancellationToken cancellationToken) =>
        PostAsync(domain, "max-memory", new MemoryRequest(bytes), cancellationToken);

    public Task SetVcpusAsync(string domain, int vcpus, CancellationToken cancellationToken) =>
        PostAsync(domain, "vcpus", new VcpuRequest(vcpus), cancellationToken);

    public Task SetCreditAsync(string domain, CreditRequest request, CancellationToken cancellationToken) =>
        PostAsync(domain, "sched-credit", request, cancellationToken);

    public Task PinAsync(string domain, PinRequest request, CancellationToken cancellationToken) =>
        PostAsync(domain, "vcpu-pin", request, cancellationToken);

    public Task SendSysRqAsync(string domain, string key, CancellationToken cancellationToken) =>
        PostAsync(domain, "sysrq", new KeyRequest(key), cancellationToken);

    public Task SendDebugKeysAsync(string domain, string keys, CancellationToken cancellationToken) =>
        PostAsync(domain, "debug-keys", new KeyRequest(keys), cancellationToken);

    public Task TriggerAsync(string domain, DomainTrigger trigger, int vcpu, CancellationToken cancellationToken) =>
        PostAsync(domain, "trigger", new TriggerRequest(trigger, vcpu), cancellationToken);

    public async Task<DumpResult> DumpCoreAsync(string domain, DumpRequest request, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await SendAsync(
            HttpMethod.Post, $"domains/{Escape(domain)}/dump-core", JsonContent.Create(request, options: ControlJson.Options), cancellationToken);
        return await ReadAsync<DumpResult>(response, cancellationToken);
    }

    public Task<IReadOnlyList<DiskDetails>> ListDisksAsync(string domain, CancellationToken cancellationToken) =>
        GetAsync<IReadOnlyList<DiskDetails>>($"domains/{Escape(domain)}/block", cancellationToken);

    public Task AttachDiskAsync(string domain, DiskRequest request, CancellationToken cancellationToken) =>
        PostAsync(domain, "block-attach", request, cancellationToken);

    public Task DetachDiskAsync(string domain, DetachRequest request, CancellationToken cancellationToken) =>
        PostAsync(domain, "block-detach", request, cancellationToken);

    public Task ConfigureDiskAsync(string domain, DiskRequest request, CancellationToken cancellationToken) =>
        PostAsync(domain, "block-configure", request, cancellationToken);

    /// <summary>Takes a snapshot of a volume that a running domain writes to.</summary>
    public async Task SnapshotVolumeAsync(string snapshot, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await SendAsync(
            HttpMethod.Post, "volumes/snapshot", JsonContent.Create(new SnapshotRequest(snapshot), options: ControlJson.Options), cancellationToken);
    }

    /// <summary>Begins to make a volume that a running domain writes to independent of the layers below it.</summary>
    public async Task BeginFlattenAsync(string volume, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await SendAsync(
            HttpMethod.Post, "volumes/flatten", JsonContent.Create(new FlattenRequest(volume), options: ControlJson.Options), cancellationToken);
    }

    /// <summary>Ends that; what was copied stays copied.</summary>
    public async Task StopFlattenAsync(string volume, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await SendAsync(HttpMethod.Delete, $"volumes/flatten?volume={Escape(volume)}", null, cancellationToken);
    }

    /// <summary>What of that goes on, and what was last, of all domains.</summary>
    public Task<IReadOnlyList<FlattenStatus>> ListFlattenAsync(CancellationToken cancellationToken) =>
        GetAsync<IReadOnlyList<FlattenStatus>>("volumes/flatten", cancellationToken);

    public Task<IReadOnlyList<VifDetails>> ListVifsAsync(string domain, CancellationToken cancellationToken) =>
        GetAsync<IReadOnlyList<VifDetails>>($"domains/{Escape(domain)}/network", cancellationToken);

    public Task AttachVifAsync(string domain, VifRequest request, CancellationToken cancellationToken) =>
        PostAsync(domain, "network-attach", request, cancellationToken);

    public Task DetachVifAsync(string domain, DetachRequest request, CancellationToken cancellationToken) =>
        PostAsync(domain, "network-detach", request, cancellationToken);

    /// <summary>All vnics of the host.</summary>
    public Task<IReadOnlyList<VnicStatus>> ListVnicsAsync(CancellationToken cancellationToken) =>
        GetAsync<IReadOnlyList<VnicStatus>>("vnics", cancellationToken);

    public async Task LimitVnicAsync(string vnic, VnicLimitRequest request, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await SendAsync(
            HttpMethod.Post, $"vnics/{Escape(vnic)}/limit", JsonContent.Create(request, options: ControlJson.Options), cancellationToken);
    }

    public async Task StartCaptureAsync(string vnic, VnicCaptureRequest request, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await SendAsync(
            HttpMethod.Post, $"vnics/{Escape(vnic)}/capture", JsonContent.Create(request, options: ControlJson.Options), cancellationToken);
    }

    public async Task<CaptureSummary> StopCaptureAsync(string vnic, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await SendAsync(HttpMethod.Delete, $"vnics/{Escape(vnic)}/capture", null, cancellationToken);
        return await ReadAsync<CaptureSummary>(response, cancellationToken);
    }

    /// <summary>Saves a domain to a file; it is gone afterwards unless the request says otherwise.</summary>
    public async Task<SaveResult> SaveAsync(string domain, SaveRequest request, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await SendAsync(
            HttpMethod.Post, $"domains/{Escape(domain)}/save", JsonContent.Create(request, options: ControlJson.Options), cancellationToken);
        return await ReadAsync<SaveResult>(response, cancellationToken);
    }

    /// <summary>Makes a domain of a saved one; <paramref name="observe"/> gets progress as it comes.</summary>
    public async Task<CreatedDomain> RestoreAsync(RestoreRequest request, Action<CreateEvent>? observe, CancellationToken cancellationToken) =>
        await StreamAsync("restore", JsonContent.Create(request, options: ControlJson.Options), observe, cancellationToken)
        ?? throw new XendFailureException(new DomainFailure(DomainFailureCode.Internal, "xend restored no domain and gave no reason"));

    /// <summary>Takes a snapshot of a running domain, memory and disks together.</summary>
    public async Task<DomainSnapshotInfo> CreateSnapshotAsync(string domain, DomainSnapshotRequest request, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await SendAsync(
            HttpMethod.Post, $"domains/{Escape(domain)}/snapshots", JsonContent.Create(request, options: ControlJson.Options), cancellationToken);
        return await ReadAsync<DomainSnapshotInfo>(response, cancellationToken);
    }

    /// <summary>A domain's snapshots, the oldest first; also of a domain that is gone.</summary>
    public Task<IReadOnlyList<DomainSnapshotInfo>> ListSnapshotsAsync(string domain, CancellationToken cancellationToken) =>
        GetAsync<IReadOnlyList<DomainSnapshotInfo>>($"domains/{Escape(domain)}/snapshots", cancellationToken);

    /// <summary>Makes a domain what it was at a snapshot; <paramref name="observe"/> gets progress as it comes.</summary>
    public async Task<CreatedDomain> RevertSnapshotAsync(
        string domain, string snapshot, RevertRequest request, Action<CreateEvent>? observe, CancellationToken cancellationToken) =>
        await StreamAsync(
            $"domains/{Escape(domain)}/snapshots/{Escape(snapshot)}/revert", JsonContent.Create(request, options: ControlJson.Options), observe, cancellationToken)
        ?? throw new XendFailureException(new DomainFailure(DomainFailureCode.Internal, "xend reverted no domain and gave no reason"));

    /// <param name="metadata">Leave the volumes' snapshots.</param>
    public async Task DeleteSnapshotAsync(string domain, string snapshot, bool metadata, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await SendAsync(
            HttpMethod.Delete, $"domains/{Escape(domain)}/snapshots/{Escape(snapshot)}?metadata={(metadata ? "true" : "false")}", null, cancellationToken);
    }

    /// <summary>Moves a domain to another host; <paramref name="observe"/> gets progress as it comes. It is gone from here afterwards.</summary>
    public async Task<MigrationResult> MigrateAsync(string domain, MigrateRequest request, Action<BuildProgress>? observe, CancellationToken cancellationToken)
    {
        MigrationResult? result = null;
        await foreach (MigrateEvent item in ReadLinesAsync<MigrateEvent>(
            $"domains/{Escape(domain)}/migrate", JsonContent.Create(request, options: ControlJson.Options), cancellationToken))
        {
            if (item.Failure is { } failure)
            {
                throw new XendFailureException(failure);
            }

            if (item.Progress is { } progress)
            {
                observe?.Invoke(progress);
            }

            result = item.Result ?? result;
        }

        return result ?? throw Gone(new EndOfStreamException("xend ended before the migration did"));
    }

    /// <summary>Decides, or has the target asked, what becomes of a domain that was handed over without an answer.</summary>
    public Task ResolveMigrationAsync(string domain, MigrationDecision decision, CancellationToken cancellationToken) =>
        PostAsync(domain, "migrate-resolve", new MigrationResolveRequest(decision), cancellationToken);

    public Task<MigrationSettings> GetMigrationSettingsAsync(CancellationToken cancellationToken) => GetAsync<MigrationSettings>("migration", cancellationToken);

    /// <summary>Changes where domains are taken over TLS.</summary>
    /// <param name="endpoint">ADDRESS:PORT; null for nowhere.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async Task ListenForMigrationsAsync(string? endpoint, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await SendAsync(
            HttpMethod.Post, "migration/listen", JsonContent.Create(new MigrationListenRequest(endpoint), options: ControlJson.Options), cancellationToken);
    }

    /// <summary>Trusts a host's key.</summary>
    public async Task TrustAsync(TrustedPeer peer, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await SendAsync(
            HttpMethod.Post, "migration/trusted", JsonContent.Create(peer, options: ControlJson.Options), cancellationToken);
    }

    /// <summary>Trusts a host no more.</summary>
    /// <param name="peer">Its fingerprint or its name.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async Task DistrustAsync(string peer, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await SendAsync(HttpMethod.Delete, $"migration/trusted/{Escape(peer)}", null, cancellationToken);
    }

    /// <summary>Makes running copies of a running domain, which goes on. Copies that could not be made are told of in the answer.</summary>
    public async Task<ForkResult> ForkAsync(string domain, ForkRequest request, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await SendAsync(
            HttpMethod.Post, $"domains/{Escape(domain)}/fork", JsonContent.Create(request, options: ControlJson.Options), cancellationToken);
        return await ReadAsync<ForkResult>(response, cancellationToken);
    }

    public Task<IReadOnlyList<PerfCounter>> GetCountersAsync(string domain, CancellationToken cancellationToken) =>
        GetAsync<IReadOnlyList<PerfCounter>>($"domains/{Escape(domain)}/counters", cancellationToken);

    /// <summary>Counters of CPU engine and vCPUs, totals since the domain's start.</summary>
    public Task<DomainPerformance> GetPerformanceAsync(string domain, CancellationToken cancellationToken) =>
        GetAsync<DomainPerformance>($"domains/{Escape(domain)}/performance", cancellationToken);

    public async Task<string> GetHypervisorLogAsync(string? domain, bool clear, CancellationToken cancellationToken)
    {
        string query = $"dmesg?clear={(clear ? "true" : "false")}{(domain is null ? "" : $"&domain={Escape(domain)}")}";
        using HttpResponseMessage response = await SendAsync(HttpMethod.Get, query, null, cancellationToken);
        return await response.Content.ReadAsStringAsync(cancellationToken);
    }

    /// <summary>Which xend this is; null for one that is too old to say.</summary>
    public async Task<XendProgram?> FindProgramAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await GetAsync<XendProgram>("program", cancellationToken);
        }
        catch (XendFailureException e) when (e.Failure.Code == DomainFailureCode.Internal)
        {
            return null;
        }
    }

    /// <summary>Asks xend to end. Domains go on.</summary>
    /// <param name="onlyWhenIdle">Refused with <see cref="DomainFailureCode.WrongState"/> when there are domains.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async Task StopAsync(bool onlyWhenIdle, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await SendAsync(
            HttpMethod.Post, onlyWhenIdle ? "stop?idle=true" : "stop", null, cancellationToken);
    }

    public void Dispose() => _http.Dispose();

    private static string Escape(string domain) => Uri.EscapeDataString(domain);

    private static XendFailureException Gone(Exception inner) =>
        new(new DomainFailure(DomainFailureCode.HostResource, $"xend cannot be reached: {inner.InnerException?.Message ?? inner.Message}"));

    private static async Task<T> ReadAsync<T>(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        try
        {
            return await response.Content.ReadFromJsonAsync<T>(ControlJson.Options, cancellationToken)
                ?? throw new JsonException("an empty answer");
        }
        catch (Exception e) when (e is JsonException or HttpRequestException or IOException)
        {
            throw Gone(e);
        }
    }

    private async Task<T> GetAsync<T>(string path, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await SendAsync(HttpMethod.Get, path, null, cancellationToken);
        return await ReadAsync<T>(response, cancellationToken);
    }

    private async Task PostAsync(string domain, string verb, object? body, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await SendAsync(
            HttpMethod.Post,
            $"domains/{Escape(domain)}/{verb}",
            body is null ? null : JsonContent.Create(body, body.GetType(), options: ControlJson.Options),
            cancellationToken);
    }

    private async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, HttpContent? content, CancellationToken cancellationToken)
    {
        HttpResponseMessage response;
        try
        {
            using HttpRequestMessage request = new(method, path) { Content = content };
            response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
        }
        catch (HttpRequestException e)
        {
            throw Gone(e);
        }

        if (response.IsSuccessStatusCode)
        {
            return response;
        }

        using (response)
        {
            DomainFailure? failure = null;
            if (response.Content.Headers.ContentType?.MediaType == "application/json")
            {
                failure = await ReadAsync<DomainFailure>(response, cancellationToken);
            }

            throw new XendFailureException(failure ?? new DomainFailure(
                DomainFailureCode.Internal,
                response.StatusCode == HttpStatusCode.NotFound ? "this xend is of another version" : $"xend answered {(int)response.StatusCode}"));
        }
    }

    private async Task<CreatedDomain?> StreamAsync(
        string path, HttpContent? content, Action<CreateEvent>? observe, CancellationToken cancellationToken)
    {
        List<DiagnosticMessage> diagnostics = [];
        CreatedDomain? created = null;
        await foreach (CreateEvent item in ReadLinesAsync<CreateEvent>(path, content, cancellationToken))
        {
            if (item.Failure is { } failure)
            {
                throw new XendFailureException(failure, diagnostics);
            }

            if (item.Diagnostic is { } diagnostic)
            {
                diagnostics.Add(diagnostic);
            }

            created = item.Created ?? created;
            observe?.Invoke(item);
        }

        return created;
    }

    /// <summary>The events of an answer that is a stream of JSON lines.</summary>
    private async IAsyncEnumerable<T> ReadLinesAsync<T>(string path, HttpContent? content, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await SendAsync(HttpMethod.Post, path, content, cancellationToken);
        using StreamReader reader = new(await response.Content.ReadAsStreamAsync(cancellationToken));
        while (true)
        {
            T item;
            try
            {
                if (await reader.ReadLineAsync(cancellationToken) is not { } line)
                {
                    yield break;
                }

                item = JsonSerializer.Deserialize<T>(line, ControlJson.Options) ?? throw new JsonException("an empty line");
            }
            catch (Exception e) when (e is JsonException or HttpRequestException or IOException)
            {
                throw Gone(e);
            }

            yield return item;
        }
    }
}
