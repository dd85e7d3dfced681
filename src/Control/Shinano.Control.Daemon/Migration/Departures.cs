using System.Diagnostics;
using System.Net.Sockets;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Daemon.Domains;
using Shinano.Control.Daemon.Saving;
using Shinano.SavedState;

namespace Shinano.Control.Daemon.Migration;

/// <summary>The source's side of migrations. See docs/design/migration.md.</summary>
internal sealed class Departures(
    DomainOperations operations, DomainSaves saves, MigrationDialler dialler, HandOvers handOvers, TimeProvider clock, ILogger<Departures> logger)
{
    /// <summary>All of a domain's memory goes over a link that may be slow.</summary>
    private static readonly TimeSpan SendPatience = TimeSpan.FromHours(12);

    /// <summary>Input and output of the guest that are under way have to end.</summary>
    private static readonly TimeSpan SuspendPatience = TimeSpan.FromMinutes(1);

    /// <summary>A refusal is on its way when the connection is lost by it.</summary>
    private static readonly TimeSpan RefusalPatience = TimeSpan.FromSeconds(2);

    /// <summary>Moves a domain, which is gone from here afterwards. After a failure it goes on here as it was, unless the failure says that this is not known.</summary>
    /// <exception cref="DomainFailureException">It was not moved; <see cref="DomainFailureCode.MigrationUnresolved"/> when that is not known.</exception>
    public async Task<MigrationResult> MigrateAsync(string domain, MigrateRequest request, Action<BuildProgress> progress, CancellationToken cancellationToken)
    {
        DomainEntry entry = operations.FindRunning(domain);
        if (entry.Record.HandedOver is not null || !entry.TryBeginDeparture())
        {
            throw new DomainFailureException(DomainFailureCode.WrongState, $"domain '{entry.Record.Name}' is being migrated already");
        }

        try
        {
            return await MigrateAsync(entry, request, progress, cancellationToken);
        }
        finally
        {
            entry.EndDeparture();
        }
    }

    private async Task<MigrationResult> MigrateAsync(DomainEntry entry, MigrateRequest request, Action<BuildProgress> progress, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        DomainConnection connection = entry.RequireConnection();
        using MigrationPeer peer = await dialler.ConnectAsync(request.Target, cancellationToken);
        Guid transfer = Guid.NewGuid();
        SavedDescription offered = saves.Describe(entry);
        peer.Say(SectionKind.Offer, new MigrationOffer(transfer, request.Live));
        peer.Send(SectionKind.Description, (offered with { Nodes = [], Watches = [] }).ToBytes());
        int targetId = peer.Read<MigrationAcceptance>(await peer.ReceiveAsync(MigrationPeer.Patience), SectionKind.Accept).DomainId;
        progress(new BuildProgress("accepted", $"by {request.Target}, as domain {targetId}", 0));
        FaultPoint.Reach("source-accepted");

        // Whatever comes now: a refusal at any moment, else the word that all is there.
        Task<(SectionKind Kind, byte[] Payload)> answer = peer.ReceiveAsync(SendPatience);
        Forget(answer);
        bool suspended = false;
        bool holdsGate = false;
        bool stays = true;
        try
        {
            connection.OnProgress = progress;
            (Task<PreCopyResult> rounds, NetworkStream stream) = await BeginAsync(entry, connection, request.Live, cancellationToken);
            using NetworkStream state = stream;
            Task pump = Task.Factory.StartNew(() => Pump(state, peer), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            Forget(pump);
            PreCopyResult sent = await UnlessAsync(peer, rounds, pump, answer);
            FaultPoint.Reach("source-copied");
            await entry.Gate.WaitAsync(cancellationToken);
            holdsGate = true;
            operations.FindRunning(entry.Record.Name);
            long stopped = Stopwatch.GetTimestamp();
            await connection.CallAsync((process, token) => process.SuspendAsync(token), SuspendPatience, CancellationToken.None);
            suspended = true;
            FaultPoint.Reach("source-suspended");
            await connection.CallAsync((process, token) => process.LetGoOfHostAsync(token), SuspendPatience, CancellationToken.None);
            peer.Send(SectionKind.Description, DescribeFinally(entry, offered).ToBytes());
            long lastPages = await UnlessAsync(
                peer, connection.CallAsync((process, token) => process.SendStateAsync(token), SendPatience, CancellationToken.None), pump, answer);
            await pump;
            FaultPoint.Reach("source-sent");
            peer.Hurry(MigrationPeer.Patience);
            peer.Demand(await answer, SectionKind.Ready);
            stays = false;
            await HandOverAsync(entry, peer, new HandOver(transfer, request.Target, clock.GetUtcNow()), () => stays = true);
            MigrationResult result = new()
            {
                TargetId = targetId,
                Rounds = sent.Rounds,
                Pages = sent.Pages + lastPages,
                LastPages = lastPages,
                Bytes = peer.BytesSent,
                DowntimeNanoseconds = (long)Stopwatch.GetElapsedTime(stopped).TotalNanoseconds,
                TotalNanoseconds = (long)Stopwatch.GetElapsedTime(start).TotalNanoseconds,
            };
            await handOvers.EndAsync(entry);
            return result;
        }
        catch (SavedStateException e)
        {
            throw SavedFailure.OfStream(e);
        }
        finally
        {
            connection.OnProgress = null;
            peer.Dispose();
            if (stays)
            {
                await handOvers.ReturnAsync(entry, suspended);
            }

            if (holdsGate)
            {
                entry.Gate.Release();
            }
        }
    }

    /// <summary>Has the domain process send, to a socket that is gone from its directory when this returns.</summary>
    private static async Task<(Task<PreCopyResult> Rounds, NetworkStream State)> BeginAsync(
        DomainEntry entry, DomainConnection connection, bool live, CancellationToken cancellationToken)
    {
        using StateSocket socket = new(entry.Directory.StateSocket);
        Task<PreCopyResult> rounds = connection.CallAsync(
            (process, token) => process.BeginDepartureAsync(socket.Path, live, token), SendPatience, cancellationToken);
        return (rounds, await socket.AcceptAsync(rounds));
    }

    /// <summary>Writes down that the domain is the target's, and says so.</summary>
    /// <param name="takeBack">Called when it is certain that the target has not taken it.</param>
    private async Task HandOverAsync(DomainEntry entry, MigrationPeer peer, HandOver handOver, Action takeBack)
    {
        try
        {
            entry.UpdateDurably(record => record with { HandedOver = handOver });
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            takeBack();
            throw new DomainFailureException(DomainFailureCode.HostResource, $"the hand-over cannot be written down: {e.Message}", e);
        }

        FaultPoint.Reach("source-committed");
        try
        {
            peer.Send(SectionKind.Go, []);
            FaultPoint.Reach("source-gone");
            (SectionKind Kind, byte[] Payload) said = await peer.ReceiveAsync(MigrationPeer.Patience);
            if (said.Kind == SectionKind.Refuse)
            {
                entry.UpdateDurably(record => record with { HandedOver = null });
                takeBack();
            }

            peer.Demand(said, SectionKind.Done);
            FaultPoint.Reach("source-done");
        }
        catch (DomainFailureException) when (entry.Record.HandedOver is null)
        {
            throw;
        }
        catch (DomainFailureException e)
        {
            logger.LogError("domain {Id} '{Name}' was handed over without an answer: {Message}", entry.Id, entry.Record.Name, e.Message);
            handOvers.Begin(entry);
            throw new DomainFailureException(
                DomainFailureCode.MigrationUnresolved,
                $"domain '{entry.Record.Name}' was handed over and {handOver.Target} has not said that it took it: "
                + "it does not run here, and is asked about until there is an answer (xm migrate-resolve)",
                e);
        }
    }

    private SavedDescription DescribeFinally(DomainEntry entry, SavedDescription offered)
    {
        SavedDescription final = saves.Describe(entry);
        return final.Configuration.Disks.SequenceEqual(offered.Configuration.Disks) && final.Configuration.Vifs.SequenceEqual(offered.Configuration.Vifs)
            && final.Configuration.Channels.SequenceEqual(offered.Configuration.Channels)
            ? final
            : throw new DomainFailureException(DomainFailureCode.WrongState, $"the devices of domain '{entry.Record.Name}' changed while it was migrated");
    }

    /// <summary>Hands on what the domain process sends, its end as the word that all was sent.</summary>
    private static void Pump(NetworkStream state, MigrationPeer peer)
    {
        try
        {
            SectionReader sections = new(new BufferedStream(state, 1 << 17), SectionFormat.Migration);
            SectionKind kind;
            while ((kind = sections.Read(out byte[] payload)) != SectionKind.End)
            {
                peer.Send(kind, payload);
            }

            peer.Send(SectionKind.Last, []);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            throw new DomainFailureException(DomainFailureCode.DomainProcessLost, $"the domain process does not send any more: {e.Message}", e);
        }
    }

    /// <summary>Waits for a call, unless something else says that it is in vain: the pump fails, or the other side refuses or is gone.</summary>
    private static async Task<T> UnlessAsync<T>(MigrationPeer peer, Task<T> call, Task pump, Task<(SectionKind Kind, byte[] Payload)> answer)
    {
        List<Task> open = [call, pump, answer];
        while (true)
        {
            Task first = await Task.WhenAny(open);
            open.Remove(first);
            if (first == answer)
            {
                peer.Demand(await answer, SectionKind.Ready);
            }
            else if (first == call ? !IsCut(call) : pump.IsFaulted)
            {
                break;
            }
            else if (first == call)
            {
                // The process only knows that nobody listens; the pump knows why.
                await Task.WhenAny(pump, Task.Delay(RefusalPatience));
                break;
            }
        }

        if (pump.IsFaulted)
        {
            Forget(call);

            // A refusal says more than what followed from it.
            if (open.Contains(answer) && await Task.WhenAny(answer, Task.Delay(RefusalPatience)) == answer)
            {
                peer.Demand(await answer, SectionKind.Ready);
            }

            await pump;
        }

        return await call;
    }

    private static bool IsCut(Task call) =>
        call.Exception?.InnerException is DomainFailureException { Failure.Code: DomainFailureCode.MigrationBroken };

    private static void Forget(Task task) => task.ContinueWith(ended => ended.Exception, TaskContinuationOptions.OnlyOnFaulted);
}
