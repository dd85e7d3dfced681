using Shinano.XenStore.Server.Tree;

namespace Shinano.XenStore.Server.Journal;

/// <summary>Keeps nothing: for a store that need not outlive its process.</summary>
internal sealed class VolatileJournal : IStoreJournal
{
    public bool TryAppend(IReadOnlyList<StoreMutation> change) => true;
}
