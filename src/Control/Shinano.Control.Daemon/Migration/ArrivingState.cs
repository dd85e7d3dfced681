using System.Net.Sockets;
using Shinano.Control.Api.Domains;
using Shinano.Control.Daemon.Domains;
using Shinano.Control.Daemon.Saving;
using Shinano.SavedState;

namespace Shinano.Control.Daemon.Migration;

/// <summary>Hands on to a domain process what comes for it, until all has come. The connection to the process stays open: while the domain is not kept, it is its life.</summary>
internal sealed class ArrivingState(MigrationPeer peer, SavedDescription offered) : IDisposable
{
    private NetworkStream? _process;

    /// <summary>Feeds the process of a domain that is being built.</summary>
    /// <param name="build">Begins the build: the process connects to the socket.</param>
    /// <returns>What the build said, and the description as it was when the domain was suspended.</returns>
    /// <exception cref="DomainFailureException">The stream is broken or makes no sense, or the process refuses it.</exception>
    public async Task<(DomainBuildResult Build, SavedDescription Saved)> FeedAsync(DomainEntry entry, Func<Task<DomainBuildResult>> build)
    {
        using StateSocket socket = new(entry.Directory.StateSocket);
        Task<DomainBuildResult> building = build();
        peer.Say(SectionKind.Accept, new MigrationAcceptance(entry.Id));
        _process = await socket.AcceptAsync(building);
        Task<SavedDescription> feeding = Task.Factory.StartNew(Feed, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        _ = feeding.ContinueWith(task => task.Exception, TaskContinuationOptions.OnlyOnFaulted);
        if (await Task.WhenAny(building, feeding) == building)
        {
            // It may have been refused while more was coming. When it was not, the end of the stream is on its way.
            await building;
        }

        SavedDescription saved;
        try
        {
            saved = await feeding;
        }
        catch (IOException)
        {
            // The process has closed its end, and says why.
            await building;
            throw new DomainFailureException(DomainFailureCode.DomainProcessLost, "the domain process took only a part of the domain");
        }
        catch
        {
            await _process.DisposeAsync();
            _ = building.ContinueWith(task => task.Exception, TaskContinuationOptions.OnlyOnFaulted);
            throw;
        }

        return (await building, saved);
    }

    public void Dispose() => _process?.Dispose();

    private SavedDescription Feed()
    {
        BufferedStream output = new(_process!, 1 << 17);
        SectionWriter sections = new(output, SectionFormat.Migration);
        SavedDescription? saved = null;
        while (true)
        {
            SectionKind kind = peer.Receive(MigrationPeer.Patience, out byte[] payload);
            switch (kind)
            {
                case SectionKind.Head or SectionKind.Pages or SectionKind.Machine or SectionKind.Rings or SectionKind.Clock or SectionKind.Frames:
                    sections.Write(kind, payload);
                    break;

                case SectionKind.Description when saved is null:
                    saved = ReadFinal(payload);
                    break;

                case SectionKind.Last when saved is not null:
                    sections.End();
                    output.Flush();
                    return saved;

                default:
                    throw MigrationPeer.Senseless($"a section {kind} where the domain's state should be");
            }
        }
    }

    private SavedDescription ReadFinal(byte[] payload)
    {
        try
        {
            SavedDescription final = SavedDescription.Read(payload);
            StateReader.Demand(final.Name == offered.Name && final.Uuid == offered.Uuid, "another domain came than was offered");
            return final;
        }
        catch (SavedStateException e)
        {
            throw SavedFailure.OfStream(e);
        }
    }
}
