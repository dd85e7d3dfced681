using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Shinano.Cpu.Bench;

/// <summary>The loops that are measured. Data starts at <see cref="BenchGuest.Data"/>.</summary>
internal static class Loops
{
    /// <summary>Recursive Fibonacci: calls, returns, the stack.</summary>
    public static void Fibonacci(Assembler a)
    {
        Label fib = a.CreateLabel();
        Label small = a.CreateLabel();
        Label end = a.CreateLabel();
        a.mov(edi, 30);
        a.call(fib);
        a.jmp(end);
        a.Label(ref fib);
        a.cmp(edi, 2);
        a.jl(small);
        a.push(rbx);
        a.push(rdi);
        a.dec(edi);
        a.call(fib);
        a.mov(rbx, rax);
        a.pop(rdi);
        a.sub(edi, 2);
        a.call(fib);
        a.add(rax, rbx);
        a.pop(rbx);
        a.ret();
        a.Label(ref small);
        a.mov(eax, edi);
        a.ret();
        a.Label(ref end);
    }

    /// <summary>A table-driven checksum: dependent loads.</summary>
    public static void Crc(Assembler a)
    {
        Label outer = a.CreateLabel();
        Label inner = a.CreateLabel();
        a.mov(r8d, 200);
        a.mov(r9, BenchGuest.Data);
        a.Label(ref outer);
        a.mov(rsi, BenchGuest.Data + 0x1000);
        a.mov(ecx, 16384);
        a.Label(ref inner);
        a.movzx(edx, __byte_ptr[rsi]);
        a.xor(dl, al);
        a.shr(eax, 8);
        a.xor(eax, __dword_ptr[r9 + (rdx * 4)]);
        a.inc(rsi);
        a.dec(ecx);
        a.jne(inner);
        a.dec(r8d);
        a.jne(outer);
    }

    /// <summary>A copy by 8 bytes.</summary>
    public static void CopyWords(Assembler a)
    {
        Label outer = a.CreateLabel();
        Label inner = a.CreateLabel();
        a.mov(r8d, 400);
        a.Label(ref outer);
        a.mov(rsi, BenchGuest.Data);
        a.mov(rdi, BenchGuest.Data + 0x10000);
        a.mov(ecx, 8192);
        a.Label(ref inner);
        a.mov(rax, __qword_ptr[rsi]);
        a.mov(__qword_ptr[rdi], rax);
        a.add(rsi, 8);
        a.add(rdi, 8);
        a.sub(ecx, 1);
        a.jne(inner);
        a.dec(r8d);
        a.jne(outer);
    }

    /// <summary>A copy of 64 KiB by one instruction; few instructions, much data.</summary>
    public static void CopyString(Assembler a)
    {
        Label outer = a.CreateLabel();
        a.mov(r8d, 2000);
        a.Label(ref outer);
        a.mov(rsi, BenchGuest.Data);
        a.mov(rdi, BenchGuest.Data + 0x10000);
        a.mov(ecx, 8192);
        a.rep.movsq();
        a.dec(r8d);
        a.jne(outer);
    }

    /// <summary>Vector adds through host code.</summary>
    public static void VectorSum(Assembler a)
    {
        Label outer = a.CreateLabel();
        Label inner = a.CreateLabel();
        a.mov(r8d, 200);
        a.Label(ref outer);
        a.mov(rsi, BenchGuest.Data);
        a.mov(ecx, 4096);
        a.Label(ref inner);
        a.movdqu(xmm0, __xmmword_ptr[rsi]);
        a.paddd(xmm1, xmm0);
        a.add(rsi, 16);
        a.dec(ecx);
        a.jne(inner);
        a.dec(r8d);
        a.jne(outer);
    }

    /// <summary>What a kernel does much of: flags, branches, fields of structures, calls across pages.</summary>
    public static void ListWalk(Assembler a)
    {
        Label outer = a.CreateLabel();
        Label inner = a.CreateLabel();
        Label skip = a.CreateLabel();
        Label far = a.CreateLabel();
        Label end = a.CreateLabel();
        a.mov(r8d, 300_000);
        a.Label(ref outer);
        a.mov(rdi, BenchGuest.Data + 0x20000);
        a.mov(ecx, 8);
        a.Label(ref inner);
        a.mov(rax, __qword_ptr[rdi + 0x18]);
        a.test(al, 1);
        a.jne(skip);
        a.mov(__dword_ptr[rdi + 0x20], ecx);
        a.Label(ref skip);
        a.lea(rdi, __[rdi + 0x40]);
        a.call(far);
        a.dec(ecx);
        a.jne(inner);
        a.dec(r8d);
        a.jne(outer);
        a.jmp(end);
        for (int i = 0; i < 4096; i++)
        {
            a.nop();
        }

        a.Label(ref far);
        a.push(rbp);
        a.mov(rbp, rsp);
        a.cmp(rdx, __qword_ptr[rdi + 8]);
        a.setne(dl);
        a.movzx(edx, dl);
        a.pop(rbp);
        a.ret();
        a.Label(ref end);
    }
}
