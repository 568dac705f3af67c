use std::sync::Arc; use std::time::Instant;
use greenlight_app::runtime::*; use greenlight_domain::frame::*; use greenlight_domain::training::Learner; use greenlight_inference::Runtime;
#[path="../tests/it/synthetic.rs"] mod synthetic;
use synthetic::*;
fn report(tag:&str, l:&Learner, tr:&Frame, y:&[bool], te:&Frame, yt:&[bool]){
  let t=Instant::now(); let m=match Runtime.train(l,tr,y){Ok(m)=>m,Err(e)=>{println!("{tag} {l:?} ERR {e}");return;}}; let el=t.elapsed();
  let t=Instant::now(); let model=Runtime.load(&m.artifact).unwrap(); let ld=t.elapsed();
  let t=Instant::now(); let s=model.score(te).unwrap(); let sc=t.elapsed();
  let strain=model.score(tr).unwrap();
  let one=te.take(&[5]); for _ in 0..1000{std::hint::black_box(model.score(&one).unwrap());}
  let t=Instant::now(); for _ in 0..20000{std::hint::black_box(model.score(std::hint::black_box(&one)).unwrap());} let single=t.elapsed()/20000;
  let ll:f64=s.iter().zip(yt).map(|(p,y)| -(if *y {*p} else {1.0-p}).max(1e-15).ln()).sum::<f64>()/yt.len() as f64;
  println!("{tag} {l:?}\n   train {el:?} load {ld:?} bytes {} auc {:.4} (train {:.4}) ll {ll:.4} mean {:.4} share {:.4} trainmean {:.4} trainshare {:.4} batch {:?}/row single {single:?} {:?}", m.artifact.len(), auc(&s,yt), auc(&strain,y), mean(&s), share(yt), mean(&strain), share(y), sc/(te.rows() as u32), m.facts);
  // reliability by decile
  let mut o:Vec<usize>=(0..s.len()).collect(); o.sort_by(|a,b|s[*a].total_cmp(&s[*b]));
  let d:Vec<String>=o.chunks(s.len()/10+1).map(|c|{let p=c.iter().map(|i|s[*i]).sum::<f64>()/c.len() as f64; let q=c.iter().filter(|i|yt[**i]).count() as f64/c.len() as f64; format!("{p:.3}/{q:.3}")}).collect();
  println!("   {}", d.join(" "));
}
fn csv()->(Frame,Vec<bool>){
  let t=std::fs::read_to_string("/tmp/bank.csv").unwrap(); let mut l=t.lines(); let h:Vec<String>=l.next().unwrap().split(',').map(|s|s.trim_matches('"').into()).collect();
  let rows:Vec<Vec<String>>=l.map(|r|r.split(',').map(|s|s.trim_matches('"').to_string()).collect()).collect();
  let mut cols=vec![];
  for (j,n) in h.iter().enumerate(){ if ["y","date","duration"].contains(&n.as_str()){continue;}
    let num:Option<Vec<f64>>=rows.iter().map(|r|r[j].parse().ok()).collect();
    let c=match num{Some(v)=>Column::Number(v),None=>Column::Text(rows.iter().map(|r|Some(Arc::from(r[j].as_str()))).collect())};
    cols.push((n.as_str(),c)); }
  let y=rows.iter().map(|r|r[16]=="yes").collect(); (frame(cols),y)
}
fn main(){
  let gb=|budget,max_trees|Learner::GradientBoosting{budget,max_trees,seed:1}; let lr=Learner::LogisticRegression{alpha:1.0,max_iterations:200};
  for ic in [0.0,-2.5]{ let (a,y)=bank(1,12000,ic); let (b,z)=bank(2,12000,ic);
   report("syn",&lr,&a,&y,&b,&z);
   for (bu,mt) in [(0.5,100),(0.5,1000),(1.0,100),(1.0,1000),(1.5,2000)]{report("syn",&gb(bu,mt),&a,&y,&b,&z);} }
  let (f,y)=csv(); let n=f.rows(); let mut r=Random(1); let mut te=vec![];let mut tr=vec![]; for i in 0..n{ if r.uniform()<0.2{te.push(i)}else{tr.push(i)} }
  let pick=|v:&[usize]|v.iter().map(|i|y[*i]).collect::<Vec<_>>();
  let (ftr,ytr,fte,yte)=(f.take(&tr),pick(&tr),f.take(&te),pick(&te));
  report("bank",&lr,&ftr,&ytr,&fte,&yte);
  report("bank0",&Learner::LogisticRegression{alpha:0.0,max_iterations:2000},&ftr,&ytr,&fte,&yte);
  for (bu,mt) in [(0.5,100),(0.5,500),(1.0,500)]{report("bank",&gb(bu,mt),&ftr,&ytr,&fte,&yte);}
  report("bank-full",&gb(0.5,500),&f,&y,&f,&y);
  let (a,y)=bank(1,120000,-2.5); let (b,z)=bank(2,20000,-2.5);
  report("syn120k",&gb(0.5,300),&a,&y,&b,&z);
}
