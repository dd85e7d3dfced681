using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server.Sessions;
using Shinano.XenStore.Server.Tree;

namespace Shinano.XenStore.Tests.Store;

/// <summary>All of a state as text, to compare two of them and to see where they differ.</summary>
internal static class StoreText
{
    internal static string Of(StoreState state) => string.Join('\n', state.Snapshot().Select(Of));

    private static string Of(StoreMutation mutation) => mutation switch
    {
        PutNode put => $"{put.Path} = {PrintableValue.Escape(put.Value.Span)} ({string.Join(',', put.Permissions)}) {put.Generation} {put.Order}",
        SetSpecialPermissions special => $"{special.Path} ({string.Join(',', special.Permissions)})",
        _ => mutation.ToString(),
    };
}
